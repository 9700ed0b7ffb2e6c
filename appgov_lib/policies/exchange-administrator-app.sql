-- grain: app that may run Exchange PowerShell and holds a role that administers Exchange
-- source: app_permissions, stg_service_principals, stg_directory_role_assignments, app_inventory
WITH exchange_roles AS (
    SELECT
        principal_id AS service_principal_id,
        list(DISTINCT role_name ORDER BY role_name) AS names
    FROM stg_directory_role_assignments
    -- Exchange Administrator, Global Administrator; a role over one administrative unit leaves the rest closed
    WHERE
        role_definition_id IN ('29232cdf-9323-42fd-ade2-1d097af3e4de', '62e90394-69f5-4237-9190-012177145e10')
        AND scope = '/'
    GROUP BY principal_id
),

power_shell AS (
    SELECT
        held.service_principal_id,
        count(*) AS permission_count,
        list(
            {
                'resource_id': held.resource_id,
                'resource': held.resource_name,
                'permission': held.permission,
                'permission_type': held.permission_type,
                'granted_at': held.granted_at,
                'usage': held.usage
            } ORDER BY held.permission
        ) AS permissions
    FROM app_permissions AS held
    INNER JOIN stg_service_principals AS api
        ON held.resource_id = api.service_principal_id
    WHERE
        held.permission_type = 'application'
        AND api.app_id = '00000002-0000-0ff1-ce00-000000000000'
        AND held.permission IN ('Exchange.ManageAsApp', 'Exchange.ManageAsAppV2')
    GROUP BY held.service_principal_id
)

SELECT
    app.service_principal_id,
    app.app_id,
    app.display_name AS app_display_name,
    '' AS subject,
    CAST(len(roles.names) AS DOUBLE) AS measure,
    CAST($min_roles AS DOUBLE) AS threshold,
    concat(
        'The app may run Exchange PowerShell as ', array_to_string(roles.names, ' and '),
        ', so it can open every mailbox to itself or to others.'
    ) AS reason,
    json_object(
        'permissions', held.permissions,
        'directory_roles', roles.names,
        'live_owner_count', app.live_owner_count,
        'last_used_at', app.last_used_at
    ) AS evidence
FROM power_shell AS held
INNER JOIN exchange_roles AS roles
    ON held.service_principal_id = roles.service_principal_id
INNER JOIN app_inventory AS app
    ON held.service_principal_id = app.service_principal_id
WHERE
    app.is_in_scope
    AND app.status = 'enabled'
    AND len(roles.names) >= $min_roles
ORDER BY app.service_principal_id
