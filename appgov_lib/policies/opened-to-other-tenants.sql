-- grain: app that was opened to other tenants in the period
-- source: app_setting_changes, app_inventory
SELECT
    app.service_principal_id,
    app.app_id,
    app.display_name AS app_display_name,
    '' AS subject,
    CAST(count(*) AS DOUBLE) AS measure,
    CAST(NULL AS DOUBLE) AS threshold,
    concat(
        'Since ', strftime(min(event.changed_at), '%Y-%m-%d'),
        ' accounts of other tenants can sign in to the app; opened',
        CASE WHEN max(event.actor_name) IS NULL THEN '' ELSE ' by ' || max(event.actor_name) END,
        CASE WHEN max(event.actor_name) IS NULL THEN ' by an unknown person' ELSE '' END, '.'
    ) AS reason,
    json_object(
        'changes',
        list(
            {
                'changed_at': event.changed_at, 'change': event.change, 'value': event.value,
                'actor_id': event.actor_id, 'actor_name': event.actor_name, 'source': event.source
            } ORDER BY event.changed_at, event.change, event.value
        ),
        'privilege_level', app.privilege_level,
        'app_origin', app.app_origin
    ) AS evidence
FROM app_setting_changes AS event
INNER JOIN app_inventory AS app
    ON event.service_principal_id = app.service_principal_id
WHERE
    event.property = 'open to other tenants'
    AND event.changed_at >= CAST($as_of AS DATE) + 1 - $days
    AND event.changed_at < CAST($as_of AS DATE) + 1
    AND app.is_in_scope
    AND app.app_origin = 'internal'
GROUP BY app.service_principal_id, app.app_id, app.display_name, app.privilege_level, app.app_origin
ORDER BY app.service_principal_id
