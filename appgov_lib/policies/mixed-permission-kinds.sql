-- grain: app that holds high privilege both with and without a user
-- source: app_permissions, app_inventory
SELECT
    app.service_principal_id,
    app.app_id,
    app.display_name AS app_display_name,
    '' AS subject,
    CAST(count(*) AS DOUBLE) AS measure,
    CAST($min_of_each AS DOUBLE) AS threshold,
    concat(
        'Holds ', count(*) FILTER (held.permission_type = 'application'),
        ' application and ', count(*) FILTER (held.permission_type = 'delegated'),
        ' delegated permissions of high privilege: two jobs in one app, and neither can be cut back without the other.'
    ) AS reason,
    json_object(
        'permissions', list(
            {
                'resource_id': held.resource_id, 'resource': held.resource_name, 'permission': held.permission,
                'permission_type': held.permission_type, 'usage': held.usage
            } ORDER BY held.resource_id, held.permission, held.permission_type
        ),
        'app_origin', app.app_origin
    ) AS evidence
FROM app_permissions AS held
INNER JOIN app_inventory AS app
    ON held.service_principal_id = app.service_principal_id
WHERE
    app.is_in_scope
    AND app.status = 'enabled'
    AND held.privilege_level = 'high'
GROUP BY app.service_principal_id, app.app_id, app.display_name, app.app_origin
HAVING
    count(*) FILTER (held.permission_type = 'application') >= $min_of_each
    AND count(*) FILTER (held.permission_type = 'delegated') >= $min_of_each
ORDER BY app.service_principal_id
