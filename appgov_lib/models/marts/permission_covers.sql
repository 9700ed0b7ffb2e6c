-- grain: group of like apps x permission it should hold x set of permissions it is one of
-- source: cover_groups, permission_options; the choice is made by smallest_cover (appgov_lib/least_privilege.py)
-- Candidates are what the apps hold and, for each call, the permission the endpoint map names first.
WITH groups AS (
    SELECT DISTINCT group_id, sets, held
    FROM cover_groups
),

candidates AS (
    SELECT
        s.group_id,
        o.*,
        h.permission IS NOT NULL AS is_held
    FROM (SELECT group_id, unnest(sets) AS set_id FROM groups) AS s
    INNER JOIN permission_options AS o ON o.set_id = s.set_id
    LEFT JOIN (SELECT group_id, unnest(held) AS permission FROM groups) AS h
        ON h.group_id = s.group_id AND h.permission = o.permission
    WHERE o.is_first OR h.permission IS NOT NULL
),

weighed AS (
    SELECT
        *,
        bool_or(is_held AND NOT is_limited) OVER (PARTITION BY group_id, set_id) AS has_full,
        bool_or(is_held AND is_sure) OVER (PARTITION BY group_id, set_id) AS has_sure
    FROM candidates
),

options AS (
    SELECT
        group_id,
        permission,
        bool_or(is_held) AS is_held,
        -- asked for at every sign-in
        max(CASE WHEN permission = 'User.Read' AND is_held THEN 0 ELSE weight END) AS weight,
        any_value(is_write) AS is_write,
        any_value(reach) AS reach,
        list(set_id ORDER BY set_id) AS sets
    FROM weighed
    WHERE has_full AND NOT is_limited AND (is_first OR is_sure OR (is_held AND NOT has_sure))
    GROUP BY group_id, permission
),

chosen AS (
    SELECT
        group_id,
        unnest(smallest_cover(list(CAST({
            'permission': permission,
            'weight': weight,
            'is_write': is_write,
            'is_held': is_held,
            'reach': reach,
            'sets': sets
        } AS STRUCT(permission VARCHAR, weight INTEGER, is_write BOOLEAN, is_held BOOLEAN, reach BIGINT,
            sets BIGINT[])) ORDER BY permission))) AS permission
    FROM options
    GROUP BY group_id
),

-- Held only in a limited form (chosen sites, own mailbox, basic properties): nothing shows that less would do.
kept AS (
    SELECT DISTINCT group_id, permission
    FROM weighed
    WHERE NOT has_full AND is_held
),

picked AS (
    SELECT group_id, permission FROM chosen
    UNION
    SELECT group_id, permission FROM kept
)

SELECT
    w.group_id,
    w.permission,
    w.set_id,
    w.is_held,
    w.privilege_level,
    w.is_sure OR w.is_first AS is_sure
FROM weighed AS w
INNER JOIN picked AS p ON p.group_id = w.group_id AND p.permission = w.permission
