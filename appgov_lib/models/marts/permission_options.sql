-- grain: set of permissions that allow a call x permission
-- source: called_endpoints, permission_judgements; reference/endpoint_permissions.csv
-- What a permission is worth as a replacement. A rule for a whole branch (/**) names all that may serve anything below
-- it; only the first named, and those of the same name before the dot, are sure to serve each call.
WITH sets AS (
    SELECT
        set_id,
        any_value(permission_type) AS permission_type,
        any_value(permissions) AS permissions,
        any_value(is_exact) AS is_exact,
        any_value(is_own) AS is_own
    FROM called_endpoints
    WHERE set_id IS NOT NULL
    GROUP BY set_id
),

named AS (
    SELECT
        set_id,
        permission_type,
        is_exact,
        is_own,
        unnest(permissions) AS permission,
        generate_subscripts(permissions, 1) AS position
    FROM sets
),

reaches AS (
    SELECT permission_type, permission, count(*) AS reach
    FROM (
        SELECT lower(permission_type) AS permission_type, unnest(string_split(permissions, ' ')) AS permission
        FROM ref_endpoint_permissions
    )
    GROUP BY ALL
),

judged AS (
    SELECT
        n.*,
        j.privilege_level,
        CASE j.privilege_level WHEN 'low' THEN 1 WHEN 'medium' THEN 3 ELSE 9 END AS weight,
        j.access = 'write' AS is_write,
        r.reach,
        -- serves some objects or some of their properties; the log does not show whether that was enough
        regexp_matches(
            n.permission,
            '\.(ReadBasic|Selected|OwnedBy|CreatedByApp|AppFolder|Group|Chat|OwnedGroup|Create)(\.|$)|'
            || 'ForTeam|ForChat|ForUser|Selected|WhereInstalled|AccessAsUser'
        ) OR (n.permission_type = 'delegated' AND NOT n.is_own
            AND NOT regexp_matches(n.permission, '\.(All|Shared|AllAccessible)(\.|$)')) AS is_limited
    FROM named AS n
    LEFT JOIN permission_judgements AS j
        ON j.resource_app_id = '00000003-0000-0000-c000-000000000000'
        AND j.permission = n.permission
        AND j.permission_type = n.permission_type
    LEFT JOIN reaches AS r ON r.permission = n.permission AND r.permission_type = n.permission_type
)

SELECT
    set_id,
    permission_type,
    permission,
    privilege_level,
    -- the map names the smaller first: of one name, a later one is never rated below an earlier one
    max(weight) OVER (
        PARTITION BY set_id, split_part(permission, '.', 1) ORDER BY position
    ) AS weight,
    is_write,
    reach,
    is_limited,
    -- the one to ask for if the app does not hold it
    position = min(position) FILTER (NOT is_limited) OVER (PARTITION BY set_id) AS is_first,
    NOT is_limited AND (
        is_exact
        OR split_part(permission, '.', 1)
        = split_part(first_value(permission) OVER (PARTITION BY set_id ORDER BY position), '.', 1)
    ) AS is_sure
FROM judged
