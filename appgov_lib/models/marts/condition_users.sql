-- grain: service principal to which a user ever consented for themselves
-- source: grant_history, stg_delegated_grants, stg_users, stg_directory_role_assignments
WITH roles AS (
    SELECT principal_id, list(coalesce(role_name, role_definition_id)) AS names
    FROM stg_directory_role_assignments
    GROUP BY principal_id
),

people AS (
    SELECT DISTINCT g.service_principal_id, g.principal_id
    FROM stg_delegated_grants AS g
    WHERE g.consent_type = 'Principal' AND g.principal_id IS NOT NULL
),

now AS (
    SELECT
        p.service_principal_id,
        count(*) AS users,
        list_sort(list(coalesce(u.user_principal_name, p.principal_id))) AS user_names,
        list_sort(list_distinct(flatten(list(coalesce(r.names, CAST([] AS VARCHAR[])))))) AS role_names
    FROM people AS p
    LEFT JOIN stg_users AS u ON u.user_id = p.principal_id
    LEFT JOIN roles AS r ON r.principal_id = p.principal_id
    GROUP BY p.service_principal_id
),

-- a grant without a first day is older than all that was read
earlier AS (
    SELECT service_principal_id, count(DISTINCT principal_id) AS users
    FROM grant_history
    WHERE permission_type = 'delegated'
        AND principal_id IS NOT NULL
        AND (valid_from IS NULL OR valid_from < CAST($as_of AS DATE) - 89)
        AND (valid_to IS NULL OR valid_to >= CAST($as_of AS DATE) - 89)
    GROUP BY service_principal_id
)

SELECT
    coalesce(n.service_principal_id, e.service_principal_id) AS service_principal_id,
    coalesce(n.users, 0) AS users,
    coalesce(e.users, 0) AS users_90d_ago,
    n.user_names,
    n.role_names
FROM now AS n
FULL JOIN earlier AS e ON e.service_principal_id = n.service_principal_id
ORDER BY service_principal_id
