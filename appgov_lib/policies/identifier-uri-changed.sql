-- grain: app whose identifier URI changed in the period
-- source: app_setting_changes, app_inventory
SELECT
    app.service_principal_id,
    app.app_id,
    app.display_name AS app_display_name,
    '' AS subject,
    CAST(count(*) AS DOUBLE) AS measure,
    CAST(NULL AS DOUBLE) AS threshold,
    concat(
        'Identifier URIs changed',
        CASE WHEN max(event.actor_name) IS NULL THEN '' ELSE ' by ' || max(event.actor_name) END,
        ', last on ', strftime(max(event.changed_at), '%Y-%m-%d'), ': ',
        count(*) FILTER (event.change = 'added'), ' added, ',
        count(*) FILTER (event.change = 'removed'), ' removed; for example ',
        arg_max(event.value, (event.change = 'added', event.changed_at, event.value)), '.'
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
    event.property = 'identifier URI'
    AND event.changed_at >= CAST($as_of AS DATE) + 1 - $days
    AND event.changed_at < CAST($as_of AS DATE) + 1
    AND app.is_in_scope
GROUP BY app.service_principal_id, app.app_id, app.display_name, app.privilege_level, app.app_origin
ORDER BY app.service_principal_id
