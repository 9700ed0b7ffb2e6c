-- grain: owner of a directory object (object x owner)
-- source: Graph /servicePrincipals and /applications with $expand=owners
WITH objects AS (
    SELECT 'service_principal' AS object_kind, guid(id) AS object_id, unnest(items(owners)) AS owner
    FROM read_json($service_principal_owners,
        format = 'newline_delimited', records = true, ignore_errors = true, columns = {
        id: 'VARCHAR',
        owners: 'JSON'
    })
    UNION ALL
    SELECT 'application' AS object_kind, guid(id) AS object_id, unnest(items(owners)) AS owner
    FROM read_json($application_owners,
        format = 'newline_delimited', records = true, ignore_errors = true, columns = {
        id: 'VARCHAR',
        owners: 'JSON'
    })
)

SELECT
    object_kind,
    object_id,
    guid(owner ->> '$.id') AS owner_id,
    CASE owner ->> '$."@odata.type"'
        WHEN '#microsoft.graph.user' THEN 'user'
        WHEN '#microsoft.graph.servicePrincipal' THEN 'service_principal'
        ELSE 'unknown'
    END AS owner_type,
    filled(owner ->> '$.displayName') AS owner_name,
    filled(owner ->> '$.userPrincipalName') AS owner_user_principal_name,
    TRY_CAST(owner ->> '$.accountEnabled' AS BOOLEAN) AS owner_enabled,
    filled(owner ->> '$.userType') AS owner_user_type
FROM objects
WHERE object_id IS NOT NULL AND guid(owner ->> '$.id') IS NOT NULL
QUALIFY row_number() OVER (
    PARTITION BY object_kind, object_id, owner_id
    ORDER BY owner_type = 'unknown', owner_name, owner_enabled
) = 1
ORDER BY object_kind, object_id, owner_id
