-- grain: permission held (service principal x resource x permission x type)
-- source: stg_delegated_grants, stg_app_role_assignments, permission_definitions
WITH delegated AS (
    -- each user once: counted so, it is half the work of count(DISTINCT)
    SELECT DISTINCT
        service_principal_id,
        resource_id,
        unnest(scopes) AS permission,
        consent_type,
        principal_id
    FROM stg_delegated_grants
    WHERE service_principal_id IS NOT NULL AND resource_id IS NOT NULL
),

delegated_permissions AS (
    SELECT
        service_principal_id,
        resource_id,
        permission,
        'delegated' AS permission_type,
        -- one consent for everybody outweighs any number of single ones
        CASE WHEN bool_or(consent_type = 'AllPrincipals') THEN 'admin' ELSE 'user' END AS consent_type,
        count(principal_id) FILTER (consent_type = 'Principal') AS consented_users,
        -- Graph keeps no date for delegated grants
        CAST(NULL AS TIMESTAMP) AS granted_at,
        CAST(NULL AS VARCHAR) AS app_role_id
    FROM delegated
    GROUP BY ALL
),

application_permissions AS (
    SELECT
        service_principal_id,
        resource_id,
        -- the resource may be gone or unread: then the id is all there is
        coalesce(permission, app_role_id) AS permission,
        'application' AS permission_type,
        'admin' AS consent_type,
        0 AS consented_users,
        min(created_at) AS granted_at,
        min(app_role_id) AS app_role_id
    FROM stg_app_role_assignments
    WHERE coalesce(principal_type, 'ServicePrincipal') = 'ServicePrincipal'
        AND service_principal_id IS NOT NULL
        AND resource_id IS NOT NULL
        AND app_role_id IS NOT NULL
    GROUP BY ALL
),

permissions AS (
    SELECT * FROM delegated_permissions
    UNION ALL BY NAME
    SELECT * FROM application_permissions
),

scope_ids AS (
    SELECT
        resource_id,
        permission,
        min(permission_id) AS permission_id
    FROM permission_definitions
    WHERE permission_type = 'delegated' AND permission IS NOT NULL
    GROUP BY ALL
)

SELECT
    p.service_principal_id,
    client.app_id,
    p.resource_id,
    resource.app_id AS resource_app_id,
    resource.display_name AS resource_name,
    p.permission,
    coalesce(p.app_role_id, s.permission_id) AS permission_id,
    p.permission_type,
    p.consent_type,
    p.consented_users,
    p.granted_at
FROM permissions AS p
LEFT JOIN stg_service_principals AS client ON client.service_principal_id = p.service_principal_id
LEFT JOIN stg_service_principals AS resource ON resource.service_principal_id = p.resource_id
LEFT JOIN scope_ids AS s
    ON s.resource_id = p.resource_id
    AND s.permission = p.permission
    AND p.permission_type = 'delegated'
ORDER BY p.service_principal_id, p.resource_id, p.permission_type, p.permission
