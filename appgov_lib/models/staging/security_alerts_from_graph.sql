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
        -- the id in the evidence of a cloud application is mostly a number of its own catalogue, and then names no app
        list_filter(
            list_transform(
                list_filter(
                    items(evidence),
                    lambda e: json_extract_string(e, '$."@odata.type"') IN (
                        '#microsoft.graph.security.oauthApplicationEvidence',
                        '#microsoft.graph.security.servicePrincipalEvidence',
                        '#microsoft.graph.security.cloudApplicationEvidence'
                    )
                ),
                lambda e: guid(json_extract_string(e, '$.appId'))
            ),
            lambda a: regexp_full_match(a, '[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}')
        ) AS named_apps,
        list_filter(
            items(evidence),
            lambda e: json_extract_string(e, '$."@odata.type"') = '#microsoft.graph.security.userEvidence'
        )[1] AS user_evidence
    FROM read_json($security_alerts_graph,
        format = 'newline_delimited', records = true, ignore_errors = true, columns = {
        id: 'VARCHAR',
        "createdDateTime": 'VARCHAR',
        "lastUpdateDateTime": 'VARCHAR',
        "lastActivityDateTime": 'VARCHAR',
        "incidentId": 'VARCHAR',
        "alertPolicyId": 'VARCHAR',
        classification: 'VARCHAR',
        determination: 'VARCHAR',
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
    to_utc("lastUpdateDateTime") AS last_updated_at,
    to_utc("lastActivityDateTime") AS last_activity_at,
    filled("incidentId") AS incident_id,
    filled("alertPolicyId") AS alert_policy_id,
    filled(title) AS title,
    filled(severity) AS severity,
    filled(status) AS status,
    filled(classification) AS classification,
    filled(determination) AS determination,
    filled(category) AS category,
    filled("serviceSource") AS service_source,
    filled("detectionSource") AS detection_source,
    guid(app_evidence ->> '$.appId') AS app_id,
    guid(coalesce(app_evidence ->> '$.objectId', app_evidence ->> '$.servicePrincipalObjectId'))
        AS service_principal_id,
    -- without a list of evidence nobody said which apps
    CASE WHEN json_type(evidence) = 'ARRAY' THEN list_sort(list_distinct(named_apps)) END AS evidence_app_ids,
    guid(user_evidence ->> '$.userAccount.azureAdUserId') AS user_id,
    filled("alertWebUrl") AS web_url,
    texts("mitreTechniques") AS mitre,
    'graph' AS shape
FROM records
