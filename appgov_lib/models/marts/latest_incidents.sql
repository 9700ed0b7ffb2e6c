-- grain: active incident (the ten with the newest activity) about apps, or about which it is not known
-- source: incident_alerts
SELECT
    incident_id,
    display_name,
    severity,
    status,
    source,
    created_at,
    last_activity_at,
    app_ids,
    apps,
    alerts,
    about_apps,
    web_url
FROM incident_alerts
WHERE is_active AND about_apps IS NOT FALSE
ORDER BY last_activity_at DESC NULLS LAST, incident_id DESC
LIMIT 10
