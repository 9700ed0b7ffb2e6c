-- grain: incident that stands in relation to apps, or may
-- source: stg_incidents, stg_security_alerts, app_inventory, coverage
WITH readable AS (
    SELECT coalesce(bool_or(status IN ('complete', 'partial')), false) AS alerts
    FROM coverage
    WHERE source = 'security_alerts'
),

names AS (
    SELECT app_id, min(display_name) AS display_name FROM app_inventory WHERE app_id IS NOT NULL GROUP BY app_id
),

alerts AS (
    SELECT
        a.incident_id,
        bool_or(a.service_source = 'microsoftAppGovernance' OR a.app_id IS NOT NULL) AS about_apps,
        coalesce(bool_or(a.detection_source = 'appGovernancePolicy'), false) AS has_policy,
        coalesce(bool_or(a.detection_source IS DISTINCT FROM 'appGovernancePolicy'), false) AS has_detection,
        list_sort(list_distinct(list(a.app_id))) AS app_ids,
        list_sort(list_distinct(list(coalesce(n.display_name, a.app_id)))) AS apps,
        count(*) AS alerts,
        max(a.created_at) AS last_alert_at
    FROM stg_security_alerts AS a
    LEFT JOIN names AS n ON n.app_id = a.app_id
    WHERE a.incident_id IS NOT NULL
    GROUP BY a.incident_id
)

SELECT
    i.incident_id,
    i.display_name,
    i.status,
    i.severity,
    i.created_at,
    i.last_updated_at,
    greatest(i.last_updated_at, a.last_alert_at) AS last_activity_at,
    i.web_url,
    -- which alerts an incident has is known only where alerts were read
    CASE WHEN r.alerts THEN coalesce(a.about_apps, false) END AS about_apps,
    CASE
        WHEN a.has_policy AND a.has_detection THEN 'policy and detection'
        WHEN a.has_policy THEN 'policy'
        WHEN a.has_detection THEN 'detection'
    END AS source,
    a.app_ids,
    a.apps,
    a.alerts,
    coalesce(i.status NOT IN ('resolved', 'redirected'), true) AS is_active
FROM stg_incidents AS i
CROSS JOIN readable AS r
LEFT JOIN alerts AS a ON a.incident_id = i.incident_id
ORDER BY i.incident_id
