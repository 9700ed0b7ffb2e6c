-- grain: app with an application permission that is enough to take the whole tenant
-- source: app_permissions, stg_service_principals, reference/takeover_permissions.csv, app_inventory
WITH takeover AS (
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
                'why': strong.reason,
                'granted_at': held.granted_at,
                'usage': held.usage
            } ORDER BY held.resource_id, held.permission
        ) AS permissions,
        arg_min(strong.reason, held.permission) AS first_reason
    FROM app_permissions AS held
    INNER JOIN stg_service_principals AS api
        ON held.resource_id = api.service_principal_id
    INNER JOIN ref_takeover_permissions AS strong
        ON api.app_id = strong.resource_app_id AND held.permission = strong.permission
    WHERE
        held.permission_type = 'application'
        -- Directory roles are a policy of their own: directory-role-power-granted.
        AND held.permission NOT IN (
            'PrivilegedAccess.ReadWrite.AzureAD',
            'RoleAssignmentSchedule.ReadWrite.Directory',
            'RoleEligibilitySchedule.ReadWrite.Directory',
            'RoleManagement.ReadWrite.Directory'
        )
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
        'Without a user, the app may take over the tenant with ',
        array_to_string(found.names[1:3], ', '),
        CASE WHEN len(found.names) > 3 THEN concat(' and ', len(found.names) - 3, ' more') ELSE '' END,
        '; with the first of them it ', found.first_reason, '.'
    ) AS reason,
    json_object(
        'permissions', found.permissions,
        'app_origin', app.app_origin,
        'live_owner_count', app.live_owner_count,
        'last_used_at', app.last_used_at
    ) AS evidence
FROM takeover AS found
INNER JOIN app_inventory AS app
    ON found.service_principal_id = app.service_principal_id
WHERE
    app.is_in_scope
    AND app.status = 'enabled'
    AND found.permission_count >= $min_permissions
ORDER BY app.service_principal_id
