-- grain: app x permission of Microsoft Graph it holds or should ask for (service principal x type x permission)
-- source: app_permissions, cover_groups, permission_covers, permission_swaps, permission_calls, app_calls
-- The smallest-risk set that would have served the calls seen. Where calls may be missing, is_complete is false: the
-- app needs at least this, and nothing in use is proposed for removal.
WITH unexplained AS (
    -- served by an Entra role, or by a permission taken away since
    SELECT s.service_principal_id, c.permission_type, sum(c.served_calls) AS calls
    FROM app_calls AS c
    INNER JOIN stg_service_principals AS s ON s.app_id = c.app_id
    ANTI JOIN permission_calls AS p
        ON p.service_principal_id = s.service_principal_id
        AND p.permission_type = c.permission_type
        AND p.method = c.method
        AND p.endpoint = c.endpoint
    WHERE c.served_calls > 0 AND c.set_id IS NOT NULL
    GROUP BY ALL
),

held AS (
    SELECT
        p.*,
        p.window_coverage = 'complete' AND p.unmatched_calls = 0 AND coalesce(t.batches_without_parts, 0) = 0
            AND x.calls IS NULL AND coalesce(s.created_at < p.window_from, false) AS is_complete
    FROM app_permissions AS p
    SEMI JOIN stg_service_principals AS r
        ON r.service_principal_id = p.resource_id AND r.app_id = '00000003-0000-0000-c000-000000000000'
    LEFT JOIN stg_service_principals AS s ON s.service_principal_id = p.service_principal_id
    LEFT JOIN app_call_totals AS t ON t.app_id = p.app_id AND t.permission_type = p.permission_type
    LEFT JOIN unexplained AS x
        ON x.service_principal_id = p.service_principal_id AND x.permission_type = p.permission_type
),

replaced AS (
    SELECT service_principal_id, permission_type, permission, any_value(is_safe) AS is_safe,
        string_agg(replaced_by, ', ' ORDER BY replaced_by) AS replaced_by
    FROM permission_swaps
    GROUP BY ALL
),

replaces AS (
    SELECT service_principal_id, permission_type, replaced_by AS permission,
        list(permission ORDER BY permission) AS replaces
    FROM permission_swaps
    GROUP BY ALL
),

kept AS (
    SELECT
        h.service_principal_id,
        h.app_id,
        h.permission_type,
        h.permission,
        h.privilege_level,
        CASE
            WHEN h.usage <> 'used' THEN CASE h.usage WHEN 'unused' THEN 'remove' ELSE 'unknown' END
            WHEN r.permission IS NULL THEN 'keep'
            WHEN h.is_complete AND r.is_safe THEN 'remove'
            ELSE 'unknown'
        END AS action,
        coalesce(e.replaces, []) AS replaces,
        h.calls AS calls_served,
        h.proving_endpoints AS endpoints,
        CASE
            WHEN r.permission IS NULL THEN h.usage_reason
            WHEN h.is_complete AND r.is_safe THEN 'the calls seen are allowed by ' || r.replaced_by
            ELSE concat('the calls seen are allowed by ', r.replaced_by, ', but there may be others')
        END AS reason,
        h.is_complete
    FROM held AS h
    LEFT JOIN replaced AS r USING (service_principal_id, permission_type, permission)
    LEFT JOIN replaces AS e USING (service_principal_id, permission_type, permission)
),

added AS (
    SELECT DISTINCT g.service_principal_id, g.permission_type, c.permission, c.privilege_level, c.set_id
    FROM cover_groups AS g
    INNER JOIN permission_covers AS c ON c.group_id = g.group_id
    WHERE NOT c.is_held
),

additions AS (
    SELECT
        a.service_principal_id,
        s.app_id,
        a.permission_type,
        a.permission,
        any_value(a.privilege_level) AS privilege_level,
        'add' AS action,
        any_value(e.replaces) AS replaces,
        CAST(sum(c.served_calls) AS BIGINT) AS calls_served,
        list(
            concat(c.method, ' ', c.endpoint, ' (', c.served_calls, ')')
            ORDER BY c.served_calls DESC, c.endpoint, c.method
        )[1:5] AS endpoints,
        'allows these calls by the endpoint map and is the smaller right; try it before '
            || array_to_string(any_value(e.replaces), ', ') || ' goes' AS reason,
        any_value(h.is_complete) AS is_complete
    FROM added AS a
    INNER JOIN stg_service_principals AS s ON s.service_principal_id = a.service_principal_id
    INNER JOIN replaces AS e
        ON e.service_principal_id = a.service_principal_id
        AND e.permission_type = a.permission_type
        AND e.permission = a.permission
    INNER JOIN app_calls AS c
        ON c.app_id = s.app_id AND c.permission_type = a.permission_type AND c.set_id = a.set_id AND c.served_calls > 0
    INNER JOIN (SELECT DISTINCT service_principal_id, permission_type, is_complete FROM held) AS h
        ON h.service_principal_id = a.service_principal_id AND h.permission_type = a.permission_type
    GROUP BY ALL
)

SELECT * FROM kept
UNION ALL BY NAME
SELECT * FROM additions
ORDER BY service_principal_id, permission_type, permission
