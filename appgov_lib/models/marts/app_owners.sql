-- grain: owner of an app (service principal x owner x object that is owned)
-- source: stg_owners, stg_service_principals, stg_applications, stg_users
WITH owned AS (
    SELECT
        s.service_principal_id,
        s.app_id,
        o.*
    FROM stg_owners AS o
    INNER JOIN stg_service_principals AS s ON s.service_principal_id = o.object_id
    WHERE o.object_kind = 'service_principal'
    UNION ALL
    SELECT
        s.service_principal_id,
        a.app_id,
        o.*
    FROM stg_owners AS o
    INNER JOIN stg_applications AS a ON a.application_id = o.object_id
    -- a registration may have no service principal here: its owners count for nobody then
    INNER JOIN stg_service_principals AS s ON s.app_id = a.app_id
    WHERE o.object_kind = 'application'
)

SELECT
    o.service_principal_id,
    o.app_id,
    o.owner_id,
    coalesce(o.owner_name, u.display_name) AS owner_name,
    coalesce(o.owner_user_principal_name, u.user_principal_name) AS owner_user_principal_name,
    CASE WHEN o.owner_type = 'unknown' AND u.user_id IS NOT NULL THEN 'user' ELSE o.owner_type END AS owner_type,
    coalesce(u.account_enabled, o.owner_enabled) AS owner_enabled,
    coalesce(u.user_type, o.owner_user_type) = 'Guest' AS owner_is_guest,
    o.object_kind AS owned_object
FROM owned AS o
LEFT JOIN stg_users AS u ON u.user_id = o.owner_id
ORDER BY o.service_principal_id, o.owner_id, o.object_kind
