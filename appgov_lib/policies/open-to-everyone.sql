-- grain: outside app, publisher not verified, that every user may sign in to with powerful permissions
-- source: app_permissions, app_inventory
SELECT
    app.service_principal_id,
    app.app_id,
    app.display_name AS app_display_name,
    '' AS subject,
    CAST(count(*) AS DOUBLE) AS measure,
    CAST($min_permissions AS DOUBLE) AS threshold,
    concat(
        'No assignment is required, so every user can sign in, and an administrator consented for everybody to ',
        array_to_string(list(held.permission ORDER BY held.permission), ', '),
        '. The app is of another tenant and its publisher is not verified.'
    ) AS reason,
    json_object(
        'permissions', list(
            {
                'resource_id': held.resource_id, 'resource': held.resource_name, 'permission': held.permission,
                'permission_type': held.permission_type, 'usage': held.usage
            } ORDER BY held.resource_id, held.permission, held.permission_type
        ),
        'publisher_name', app.publisher_name,
        'users_30d', app.users_30d
    ) AS evidence
FROM app_permissions AS held
INNER JOIN app_inventory AS app
    ON held.service_principal_id = app.service_principal_id
WHERE
    app.is_in_scope
    AND app.status = 'enabled'
    AND app.app_origin = 'external'
    AND app.publisher_verified IS FALSE
    AND app.assignment_required IS FALSE
    AND held.permission_type = 'delegated'
    AND held.consent_type = 'admin'
    AND held.privilege_level = 'high'
GROUP BY app.service_principal_id, app.app_id, app.display_name, app.publisher_name, app.users_30d
HAVING count(*) >= $min_permissions
ORDER BY app.service_principal_id
