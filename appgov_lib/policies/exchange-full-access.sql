-- grain: app with every mailbox of the tenant open to it
-- source: app_permissions, stg_service_principals, app_inventory
WITH full_access AS (
    SELECT
        held.service_principal_id,
        count(*) AS permission_count,
        list(held.permission ORDER BY held.permission) AS names,
        list(
            {
                'resource_id': held.resource_id,
                'resource': held.resource_name,
                'permission': held.permission,
                'permission_type': held.permission_type,
                'why': held.level_reason,
                'granted_at': held.granted_at,
                'usage': held.usage
            } ORDER BY held.resource_id, held.permission
        ) AS permissions
    FROM app_permissions AS held
    INNER JOIN stg_service_principals AS api
        ON held.resource_id = api.service_principal_id
    WHERE
        held.permission_type = 'application'
        AND api.app_id = '00000002-0000-0ff1-ce00-000000000000'
        AND held.permission = 'full_access_as_app'
    GROUP BY held.service_principal_id
)

SELECT
    app.service_principal_id,
    app.app_id,
    app.display_name AS app_display_name,
    '' AS subject,
    CAST(found.permission_count AS DOUBLE) AS measure,
    CAST($min_permissions AS DOUBLE) AS threshold,
    concat(
        'The app may read, change and send everything in every mailbox through Exchange Web Services (',
        array_to_string(found.names[1:3], ', '),
        CASE WHEN len(found.names) > 3 THEN concat(' and ', len(found.names) - 3, ' more') ELSE '' END,
        ').'
    ) AS reason,
    json_object(
        'permissions', found.permissions,
        'app_origin', app.app_origin,
        'live_owner_count', app.live_owner_count,
        'last_used_at', app.last_used_at
    ) AS evidence
FROM full_access AS found
INNER JOIN app_inventory AS app
    ON found.service_principal_id = app.service_principal_id
WHERE
    app.is_in_scope
    AND app.status = 'enabled'
    AND found.permission_count >= $min_permissions
ORDER BY app.service_principal_id
