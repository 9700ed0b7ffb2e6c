-- grain: one row: highly privileged apps when the readings before the period were made
-- source: grant_history, directory_role_history, permission_judgements, category_marks, source_readings,
--         stg_deleted_service_principals, reference/privileged_roles.csv
WITH sources AS (
    SELECT unnest(['delegated_grants', 'app_role_assignments', 'directory_role_assignments', 'service_principals'])
        AS source
),

-- the newest complete reading of each source that is not part of the period
readings AS (
    SELECT s.source, max(r.read_at) AS read_at
    FROM sources AS s
    LEFT JOIN source_readings AS r
        ON r.source = s.source
        AND CAST(r.read_at AS DATE) <= CAST($as_of AS DATE) - CAST($days AS INTEGER) + 1
    GROUP BY s.source
),

then_at AS (
    SELECT CASE WHEN count(read_at) = count(*) THEN min(read_at) END AS read_at FROM readings
),

-- what is gone since counts too, unless it is Microsoft's own
apps AS (
    SELECT service_principal_id FROM category_marks WHERE category = 'all'
    UNION
    SELECT d.service_principal_id
    FROM stg_deleted_service_principals AS d
    ANTI JOIN ref_first_party_tenants AS m ON m.tenant_id = d.app_owner_tenant_id
    WHERE d.service_principal_type IS DISTINCT FROM 'ManagedIdentity'
),

held AS (
    SELECT g.service_principal_id, j.privilege_level
    FROM grant_history AS g
    CROSS JOIN then_at AS t
    LEFT JOIN stg_service_principals AS api ON api.service_principal_id = g.resource_id
    LEFT JOIN permission_judgements AS j
        ON j.resource_app_id = api.app_id AND j.permission = g.permission AND j.permission_type = g.permission_type
    WHERE coalesce(g.valid_from <= t.read_at, true) AND coalesce(g.valid_to > t.read_at, true)
    UNION ALL
    SELECT r.principal_id, CASE WHEN p.is_privileged = 'true' THEN 'high' ELSE 'medium' END
    FROM directory_role_history AS r
    CROSS JOIN then_at AS t
    LEFT JOIN ref_privileged_roles AS p ON p.role_definition_id = r.role_definition_id
    WHERE coalesce(r.valid_from <= t.read_at, true) AND coalesce(r.valid_to > t.read_at, true)
)

SELECT
    t.read_at,
    -- a permission that nobody holds any more is not judged: then the number is not known
    CASE WHEN t.read_at IS NOT NULL AND count(*) FILTER (h.service_principal_id IS NOT NULL AND h.privilege_level IS NULL) = 0
        THEN count(DISTINCT h.service_principal_id) FILTER (h.privilege_level = 'high') END AS apps
FROM then_at AS t
LEFT JOIN (SELECT * FROM held SEMI JOIN apps USING (service_principal_id)) AS h ON true
GROUP BY t.read_at
