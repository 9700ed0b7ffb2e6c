-- grain: permission held (service principal x resource x permission x type)
-- source: consent_grants, permission_usage, app_resource_usage, covered_days, stg_applications
-- Use is judged by family, the safe way: "unused" only where every call of the app was seen and understood.
WITH window_cover AS (
    SELECT count(*) FILTER (is_complete) = 30 AS is_complete
    FROM covered_days
    WHERE source = 'api_activity' AND day BETWEEN CAST($as_of AS DATE) - 29 AND CAST($as_of AS DATE)
),

app_calls AS (
    SELECT
        app_id,
        sum(calls) AS calls,
        coalesce(sum(calls) FILTER (service = 'Other'), 0) AS unrecognised_calls
    FROM app_resource_usage
    GROUP BY app_id
),

manifest AS (
    SELECT
        app_id,
        guid(permission ->> '$.id') AS permission_id
    FROM (
        SELECT app_id, unnest(items(resource -> '$.resourceAccess')) AS permission
        FROM (SELECT app_id, unnest(items(required_resource_access)) AS resource FROM stg_applications)
    )
    GROUP BY ALL
),

registered AS (
    SELECT DISTINCT app_id
    FROM stg_applications
    WHERE app_id IS NOT NULL
)

SELECT
    g.service_principal_id,
    g.app_id,
    g.resource_id,
    g.resource_name,
    g.permission,
    g.permission_id,
    g.permission_type,
    g.consent_type,
    g.consented_users,
    u.privilege_level,
    u.level_reason,
    u.service,
    u.access,
    CASE
        WHEN u.good_calls > 0 THEN 'used'
        WHEN u.is_graph AND w.is_complete AND len(u.resource_types) > 0 AND u.family_calls = 0
            AND s.created_at < CAST($as_of AS DATE) - 29 AND coalesce(c.unrecognised_calls, 0) = 0 THEN 'unused'
        ELSE 'unknown'
    END AS usage,
    CASE
        WHEN u.good_calls > 0
            THEN 'successful calls of this family in the 30 days to ' || CAST($as_of AS DATE) || ': ' || u.good_calls
        WHEN NOT u.is_graph THEN 'calls to this resource are not in the Graph activity log'
        WHEN len(u.resource_types) = 0 THEN 'no rule says which calls need this permission'
        WHEN u.family_calls > 0
            THEN 'calls of this family, none of them proof of this permission: ' || u.family_calls
        WHEN NOT w.is_complete
            THEN 'Graph activity is not fully covered for the 30 days to ' || CAST($as_of AS DATE)
        WHEN s.created_at IS NULL THEN 'the age of the app is not known'
        WHEN s.created_at >= CAST($as_of AS DATE) - 29 THEN 'the app is younger than 30 days'
        WHEN c.unrecognised_calls > 0
            THEN 'calls of the app that belong to no known family: ' || c.unrecognised_calls
        ELSE 'no call of this family in the 30 days to ' || CAST($as_of AS DATE)
    END AS usage_reason,
    u.last_good_at AS last_used_at,
    -- 0 only where nothing could have been missed
    CASE WHEN u.good_calls > 0 OR (u.is_graph AND w.is_complete) THEN u.good_calls END AS calls,
    CASE WHEN r.app_id IS NOT NULL AND g.permission_id IS NOT NULL THEN m.permission_id IS NOT NULL END AS in_manifest,
    g.granted_at
FROM consent_grants AS g
CROSS JOIN window_cover AS w
LEFT JOIN permission_usage AS u
    ON u.service_principal_id = g.service_principal_id
    AND u.resource_id = g.resource_id
    AND u.permission = g.permission
    AND u.permission_type = g.permission_type
LEFT JOIN stg_service_principals AS s ON s.service_principal_id = g.service_principal_id
LEFT JOIN app_calls AS c ON c.app_id = g.app_id
LEFT JOIN registered AS r ON r.app_id = g.app_id
LEFT JOIN manifest AS m ON m.app_id = g.app_id AND m.permission_id = g.permission_id
ORDER BY g.service_principal_id, g.resource_id, g.permission_type, g.permission
