-- grain: app with strong rights on an API other than Microsoft Graph
-- source: app_permissions, stg_service_principals, stg_applications, app_inventory
WITH own_apis AS (
    SELECT DISTINCT app_id
    FROM stg_applications
    WHERE app_id IS NOT NULL
),

sensitive AS (
    SELECT
        held.service_principal_id,
        count(*) AS permission_count,
        count(own.app_id) AS own_permissions,
        list(concat(held.permission, ' of ', coalesce(held.resource_name, held.resource_id))
            ORDER BY held.resource_name, held.permission) AS names,
        list(
            {
                'resource_id': held.resource_id,
                'resource': held.resource_name,
                'permission': held.permission,
                'permission_type': held.permission_type,
                'consent_type': held.consent_type,
                'why': coalesce(held.level_reason, 'application permission of an API registered here'),
                'granted_at': held.granted_at,
                'usage': held.usage
            } ORDER BY held.resource_id, held.permission_type, held.permission
        ) AS permissions
    FROM app_permissions AS held
    INNER JOIN stg_service_principals AS api
        ON held.resource_id = api.service_principal_id
    INNER JOIN app_inventory AS holder
        ON held.service_principal_id = holder.service_principal_id
    -- How much an API registered here gives away is not known; an outside app that reaches it by itself stands out.
    LEFT JOIN own_apis AS own
        ON api.app_id = own.app_id
        AND held.permission_type = 'application'
        AND holder.app_origin = 'external'
    WHERE
        -- Graph and Exchange Online are the matter of other policies.
        api.app_id NOT IN ('00000003-0000-0000-c000-000000000000', '00000002-0000-0ff1-ce00-000000000000')
        AND (held.privilege_level = 'high' OR own.app_id IS NOT NULL)
        AND (held.permission_type = 'application' OR held.consent_type = 'admin' OR holder.app_origin = 'external')
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
        'The app holds strong rights outside Microsoft Graph: ',
        array_to_string(found.names[1:3], ', '),
        CASE WHEN len(found.names) > 3 THEN concat(' and ', len(found.names) - 3, ' more') ELSE '' END,
        CASE
            WHEN found.own_permissions > 0 THEN '; it is an app of another tenant on an API registered here'
            ELSE ''
        END,
        '.'
    ) AS reason,
    json_object(
        'permissions', found.permissions,
        'app_origin', app.app_origin,
        'publisher_verified', app.publisher_verified,
        'last_used_at', app.last_used_at
    ) AS evidence
FROM sensitive AS found
INNER JOIN app_inventory AS app
    ON found.service_principal_id = app.service_principal_id
WHERE
    app.is_in_scope
    AND app.status = 'enabled'
    AND found.permission_count >= $min_permissions
ORDER BY app.service_principal_id
