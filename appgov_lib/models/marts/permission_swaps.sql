-- grain: permission in use that the smallest set leaves out x permission that takes over calls of it
-- source: permission_calls, cover_groups, permission_covers
WITH used AS (
    SELECT DISTINCT service_principal_id, permission_type, permission, set_id
    FROM permission_calls
    WHERE calls > 0
),

grouped AS (
    SELECT u.*, g.group_id
    FROM used AS u
    INNER JOIN cover_groups AS g USING (service_principal_id, permission_type)
    ANTI JOIN permission_covers AS c ON c.group_id = g.group_id AND c.permission = u.permission
),

swaps AS (
    SELECT
        u.service_principal_id,
        u.permission_type,
        u.permission,
        c.permission AS replaced_by,
        u.set_id,
        c.is_sure OR split_part(c.permission, '.', 1) = split_part(u.permission, '.', 1) AS is_sure
    FROM grouped AS u
    INNER JOIN permission_covers AS c ON c.group_id = u.group_id AND c.set_id = u.set_id
),

-- safe when each kind of call has a sure successor
safe AS (
    SELECT service_principal_id, permission_type, permission, bool_and(is_sure) AS is_safe
    FROM (
        SELECT service_principal_id, permission_type, permission, set_id, bool_or(is_sure) AS is_sure
        FROM swaps
        GROUP BY ALL
    )
    GROUP BY ALL
)

SELECT DISTINCT
    w.service_principal_id,
    w.permission_type,
    w.permission,
    w.replaced_by,
    s.is_safe
FROM swaps AS w
INNER JOIN safe AS s USING (service_principal_id, permission_type, permission)
