-- grain: owner who came to a highly privileged app in the period
-- source: changes, app_inventory
SELECT
    app.service_principal_id,
    app.app_id,
    app.display_name AS app_display_name,
    concat(change.subject, ', ', change.after) AS subject,
    CAST(app.high_privilege_count AS DOUBLE) AS measure,
    CAST($min_high_permissions AS DOUBLE) AS threshold,
    concat(
        change.subject, ' became ', change.after, ' on ', strftime(change.changed_at, '%Y-%m-%d'),
        coalesce(', added by ' || change.actor_name, ', by whom is not known'),
        '; an owner can add a credential and act with the app''s ', app.high_privilege_count,
        CASE WHEN app.high_privilege_count = 1 THEN ' permission' ELSE ' permissions' END, ' of high privilege.'
    ) AS reason,
    json_object(
        'owner', change.subject, 'owned', change.after, 'added_at', change.changed_at, 'source', change.source,
        'actor_id', change.actor_id, 'actor_name', change.actor_name, 'change_id', change.change_id,
        'owner_count', app.owner_count
    ) AS evidence
FROM changes AS change
INNER JOIN app_inventory AS app
    ON change.service_principal_id = app.service_principal_id
WHERE
    change.kind = 'owner'
    AND change.change = 'added'
    AND change.changed_at >= CAST($as_of AS DATE) + 1 - $days
    AND change.changed_at < CAST($as_of AS DATE) + 1
    AND app.is_in_scope
    AND app.high_privilege_count >= $min_high_permissions
ORDER BY app.service_principal_id, change.subject, change.change_id
