-- grain: record as received (duplicates included)
-- source: Graph /security/alerts_v2
WITH records AS (
    SELECT
        *,
        list_filter(
            items(evidence),
            lambda e: json_extract_string(e, '$."@odata.type"') IN (
                '#microsoft.graph.security.oauthApplicationEvidence',
                '#microsoft.graph.security.servicePrincipalEvidence'
            )
        )[1] AS app_evidence,
        list_filter(
            items(evidence),
            lambda e: json_extract_string(e, '$."@odata.type"') = '#microsoft.graph.security.userEvidence'
        )[1] AS user_evidence
    FROM read_json($security_alerts_graph,
        format = 'newline_delimited', records = true, ignore_errors = true, columns = {
        id: 'VARCHAR',
        "createdDateTime": 'VARCHAR',
        title: 'VARCHAR',
        severity: 'VARCHAR',
        status: 'VARCHAR',
        category: 'VARCHAR',
        "serviceSource": 'VARCHAR',
        "detectionSource": 'VARCHAR',
        "alertWebUrl": 'VARCHAR',
        "mitreTechniques": 'JSON',
        evidence: 'JSON'
    })
)

SELECT
    coalesce(filled(id), md5(concat_ws('|', "createdDateTime", title, severity, evidence))) AS alert_id,
    to_utc("createdDateTime") AS created_at,
    filled(title) AS title,
    filled(severity) AS severity,
    filled(status) AS status,
    filled(category) AS category,
    filled("serviceSource") AS service_source,
    filled("detectionSource") AS detection_source,
    guid(app_evidence ->> '$.appId') AS app_id,
    guid(coalesce(app_evidence ->> '$.objectId', app_evidence ->> '$.servicePrincipalObjectId'))
        AS service_principal_id,
    guid(user_evidence ->> '$.userAccount.azureAdUserId') AS user_id,
    filled("alertWebUrl") AS web_url,
    texts("mitreTechniques") AS mitre,
    'graph' AS shape
FROM records
