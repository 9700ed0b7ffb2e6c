-- grain: incident
-- source: Graph /security/incidents; every version that was read, the one changed last counts
SELECT
    filled(id) AS incident_id,
    filled("displayName") AS display_name,
    filled(status) AS status,
    filled(severity) AS severity,
    filled(classification) AS classification,
    filled(determination) AS determination,
    filled("assignedTo") AS assigned_to,
    to_utc("createdDateTime") AS created_at,
    to_utc("lastUpdateDateTime") AS last_updated_at,
    -- a merged incident goes on under another number
    filled("redirectIncidentId") AS redirect_incident_id,
    filled("incidentWebUrl") AS web_url,
    filled(coalesce(summary, description)) AS summary,
    texts("customTags") AS custom_tags,
    texts("systemTags") AS system_tags,
    -- only where the alerts were asked for; stg_security_alerts names the incident of each alert
    CASE WHEN json_type(alerts) = 'ARRAY' THEN list_sort(list_filter(
        list_transform(items(alerts), lambda a: filled(json_extract_string(a, '$.id'))), lambda i: i IS NOT NULL
    )) END AS alert_ids,
    count(*) OVER (PARTITION BY id) AS copies
FROM read_json($incidents,
    format = 'newline_delimited', records = true, ignore_errors = true, columns = {
    id: 'VARCHAR',
    "displayName": 'VARCHAR',
    status: 'VARCHAR',
    severity: 'VARCHAR',
    classification: 'VARCHAR',
    determination: 'VARCHAR',
    "assignedTo": 'VARCHAR',
    "createdDateTime": 'VARCHAR',
    "lastUpdateDateTime": 'VARCHAR',
    "redirectIncidentId": 'VARCHAR',
    "incidentWebUrl": 'VARCHAR',
    summary: 'VARCHAR',
    description: 'VARCHAR',
    "customTags": 'JSON',
    "systemTags": 'JSON',
    alerts: 'JSON'
})
WHERE filled(id) IS NOT NULL
QUALIFY row_number() OVER (
    PARTITION BY id
    ORDER BY last_updated_at DESC NULLS LAST, status, severity, created_at, display_name
) = 1
ORDER BY created_at, incident_id
