-- grain: app x open alert that Microsoft raised about it with high severity
-- source: app_alerts, app_inventory, reference/first_party_apps.csv
SELECT
    -- an alert may be about an app that has left the directory
    coalesce(a.service_principal_id, a.app_id) AS service_principal_id,
    a.app_id,
    coalesce(a.display_name, a.app_id) AS app_display_name,
    a.alert_id AS subject,
    CAST(a.level AS DOUBLE) AS measure,
    CAST($high_level AS DOUBLE) AS threshold,
    concat(
        'Microsoft raised ', CASE a.record_kind WHEN 'alert' THEN 'the alert' ELSE 'the risk detection' END,
        ' "', coalesce(a.title, 'without a title'), '" about the app',
        coalesce(' on ' || strftime(a.first_at, '%Y-%m-%d'), ''), ', severity ', coalesce(a.severity, 'not said'),
        ', by ', coalesce(a.service_source, 'a service that is not named'), '; it is not resolved.'
    ) AS reason,
    json_object(
        'title', a.title, 'severity', a.severity, 'status', a.status, 'classification', a.classification,
        'service_source', a.service_source, 'detection_source', a.detection_source, 'first_at', a.first_at,
        'last_at', a.last_at, 'mitre', a.mitre, 'incident_id', a.incident_id, 'alert_url', a.alert_url,
        'incident_url', a.incident_url, 'app_url', a.app_url, 'privilege_level', app.privilege_level,
        'last_used_at', app.last_used_at
    ) AS evidence
FROM app_alerts AS a
LEFT JOIN app_inventory AS app ON app.service_principal_id = a.service_principal_id
WHERE
    a.is_open
    AND a.app_id IS NOT NULL
    -- a standing risk, and what it rests on, is told by workload-identity-at-risk
    AND a.record_kind <> 'risk'
    AND NOT coalesce(a.is_told_as_risk, false)
    AND a.level >= $high_level
    AND coalesce(a.last_at >= CAST($as_of AS DATE) + 1 - $max_age_days, true)
    AND coalesce(a.first_at < CAST($as_of AS DATE) + 1, true)
    AND coalesce(
        app.is_in_scope, a.app_id NOT IN (SELECT app_id FROM ref_first_party_apps WHERE app_id IS NOT NULL)
    )
ORDER BY service_principal_id, subject
