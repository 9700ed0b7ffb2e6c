-- grain: service principal x user who consented
-- source: stg_delegated_grants, stg_users, findings; apps with an open finding
SELECT
    g.service_principal_id,
    coalesce(u.user_principal_name, g.principal_id) AS user_name,
    u.account_enabled,
    list_sort(list_distinct(flatten(list(g.scopes)))) AS scopes
FROM stg_delegated_grants AS g
LEFT JOIN stg_users AS u ON u.user_id = g.principal_id
SEMI JOIN (FROM findings WHERE state NOT IN ('resolved', 'excepted')) AS f
    ON f.service_principal_id = g.service_principal_id
WHERE g.consent_type = 'Principal'
GROUP BY ALL
ORDER BY g.service_principal_id, user_name
