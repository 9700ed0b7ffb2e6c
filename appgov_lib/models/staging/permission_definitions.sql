-- grain: permission a resource publishes (resource x id x type)
-- source: stg_service_principals (app_roles, published_scopes)
WITH app_roles AS (
    SELECT
        service_principal_id AS resource_id,
        'application' AS permission_type,
        unnest(items(app_roles)) AS definition
    FROM stg_service_principals
    WHERE json_array_length(app_roles) > 0
),

scopes AS (
    SELECT
        service_principal_id AS resource_id,
        'delegated' AS permission_type,
        unnest(items(published_scopes)) AS definition
    FROM stg_service_principals
    WHERE json_array_length(published_scopes) > 0
),

definitions AS (
    SELECT * FROM app_roles
    UNION ALL
    SELECT * FROM scopes
)

SELECT
    resource_id,
    guid(definition ->> '$.id') AS permission_id,
    permission_type,
    filled(definition ->> '$.value') AS permission,
    filled(coalesce(definition ->> '$.displayName', definition ->> '$.adminConsentDisplayName')) AS display_name
FROM definitions
WHERE guid(definition ->> '$.id') IS NOT NULL
QUALIFY row_number() OVER (
    PARTITION BY resource_id, permission_id, permission_type
    ORDER BY permission, display_name
) = 1
ORDER BY resource_id, permission_type, permission_id
