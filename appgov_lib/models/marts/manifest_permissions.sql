-- grain: permission an app registration asks for (application x resource app x permission id)
-- source: stg_applications, stg_service_principals, permission_definitions, consent_grants, coverage
WITH asked AS (
    SELECT
        application_id,
        app_id,
        guid(resource ->> '$.resourceAppId') AS resource_app_id,
        guid(permission ->> '$.id') AS permission_id,
        -- asked for as both: the first in the alphabet
        min(CASE lower(permission ->> '$.type') WHEN 'role' THEN 'application' WHEN 'scope' THEN 'delegated' END)
            AS permission_type
    FROM (
        SELECT application_id, app_id, resource, unnest(items(resource -> '$.resourceAccess')) AS permission
        FROM (SELECT application_id, app_id, unnest(items(required_resource_access)) AS resource FROM stg_applications)
    )
    WHERE guid(permission ->> '$.id') IS NOT NULL
    GROUP BY application_id, app_id, guid(resource ->> '$.resourceAppId'), guid(permission ->> '$.id')
),

-- One service principal a resource: the app id is unique in a tenant.
resources AS (
    SELECT
        app_id AS resource_app_id,
        min(service_principal_id) AS resource_id,
        min(display_name) AS resource_name
    FROM stg_service_principals
    GROUP BY app_id
),

held AS (
    SELECT DISTINCT app_id, resource_app_id, permission, permission_id, permission_type
    FROM consent_grants
),

readable AS (
    SELECT
        bool_and(status = 'complete') FILTER (source = 'delegated_grants') AS delegated,
        bool_and(status = 'complete') FILTER (source = 'app_role_assignments') AS application
    FROM coverage
)

SELECT
    a.application_id,
    a.app_id,
    a.resource_app_id,
    r.resource_id,
    r.resource_name,
    -- the resource is not in this tenant, or publishes it no more: then the id is all there is
    coalesce(d.permission, a.permission_id) AS permission,
    a.permission_id,
    a.permission_type,
    CASE
        WHEN h.permission IS NOT NULL THEN true
        WHEN CASE a.permission_type WHEN 'delegated' THEN c.delegated WHEN 'application' THEN c.application END
            THEN false
    END AS granted
FROM asked AS a
CROSS JOIN readable AS c
LEFT JOIN resources AS r ON r.resource_app_id = a.resource_app_id
LEFT JOIN permission_definitions AS d
    ON d.resource_id = r.resource_id
    AND d.permission_id = a.permission_id
    AND d.permission_type = a.permission_type
LEFT JOIN held AS h
    ON h.app_id = a.app_id
    AND h.resource_app_id = a.resource_app_id
    AND h.permission_type = a.permission_type
    AND h.permission_id = a.permission_id
ORDER BY a.application_id, a.resource_app_id, a.permission_type, a.permission_id
