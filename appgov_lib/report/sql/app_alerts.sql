-- grain: app x alert
-- source: stg_security_alerts, stg_incidents, findings; apps with an open finding
WITH named AS (
    SELECT DISTINCT alert_id, app_id
    FROM (
        SELECT alert_id, app_id FROM stg_security_alerts
        UNION ALL
        SELECT alert_id, unnest(evidence_app_ids) AS app_id FROM stg_security_alerts
        UNION ALL
        SELECT a.alert_id, i.app_id
        FROM stg_security_alerts AS a
        INNER JOIN app_inventory AS i ON i.service_principal_id = a.service_principal_id
    )
    WHERE app_id IS NOT NULL
)

SELECT
    n.app_id,
    a.title,
    a.severity,
    a.status,
    a.service_source,
    a.created_at,
    a.last_activity_at,
    a.incident_id,
    i.display_name AS incident,
    i.status AS incident_status,
    a.alert_id
FROM named AS n
INNER JOIN stg_security_alerts AS a ON a.alert_id = n.alert_id
LEFT JOIN stg_incidents AS i ON i.incident_id = a.incident_id
SEMI JOIN (FROM findings WHERE state NOT IN ('resolved', 'excepted')) AS f ON f.app_id = n.app_id
ORDER BY n.app_id, a.created_at DESC, a.alert_id
