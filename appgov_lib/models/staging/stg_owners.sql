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
),

owners AS MATERIALIZED (
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
    WHERE object_id IS NOT NULL
),

-- Nearly every owner came once, and ranking wide rows is dear, so only those whose hash occurs again are ranked.
repeated AS (
    SELECT hash(object_kind, object_id, owner_id) AS mark FROM owners GROUP BY mark HAVING count(*) > 1
)

SELECT *
FROM owners
WHERE owner_id IS NOT NULL AND hash(object_kind, object_id, owner_id) NOT IN (SELECT mark FROM repeated)
UNION ALL
SELECT *
FROM owners
WHERE owner_id IS NOT NULL AND hash(object_kind, object_id, owner_id) IN (SELECT mark FROM repeated)
QUALIFY row_number() OVER (
    PARTITION BY object_kind, object_id, owner_id
    ORDER BY owner_type = 'unknown', owner_name, owner_enabled
) = 1
ORDER BY object_kind, object_id, owner_id
