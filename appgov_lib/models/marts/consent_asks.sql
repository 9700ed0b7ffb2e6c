-- grain: delegated permission of an API that users gave an app (service principal x resource x permission)
-- source: stg_delegated_grants, app_permissions, stg_service_principals
WITH held AS (
    SELECT DISTINCT service_principal_id, resource_id, unnest(scopes) AS permission
    FROM stg_delegated_grants
    WHERE consent_type = 'Principal'
),

-- whether the API asks for an administrator, as it publishes its permissions
scope_kinds AS (
    SELECT resource_id, scope ->> '$.value' AS permission, bool_or(scope ->> '$.type' = 'Admin') AS needs_admin
    FROM (
        SELECT service_principal_id AS resource_id, unnest(items(published_scopes)) AS scope
        FROM stg_service_principals
    )
    GROUP BY ALL
)

SELECT
    h.*,
    p.permission_id,
    k.needs_admin,
    lower(client.app_id) AS client_app_id,
    client.app_owner_tenant_id,
    client.verified_publisher_id,
    coalesce(client.assignment_required, false) AS assignment_required,
    lower(api.app_id) AS resource_app_id
FROM held AS h
LEFT JOIN app_permissions AS p
    ON p.service_principal_id = h.service_principal_id AND p.resource_id = h.resource_id
    AND p.permission = h.permission AND p.permission_type = 'delegated'
LEFT JOIN scope_kinds AS k ON k.resource_id = h.resource_id AND k.permission = h.permission
LEFT JOIN stg_service_principals AS client ON client.service_principal_id = h.service_principal_id
LEFT JOIN stg_service_principals AS api ON api.service_principal_id = h.resource_id
