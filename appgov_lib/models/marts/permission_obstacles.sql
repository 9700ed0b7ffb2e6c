-- grain: permission held (service principal x resource x permission x type)
-- source: consent_grants, permission_usage, permission_ages, app_call_totals, covered_days, stg_sign_ins
-- The first thing that stands in the way of "unused", in one sentence; NULL where nothing does.
WITH window_cover AS (
    SELECT
        count(*) FILTER (is_complete) AS complete_days,
        count(*) AS days
    FROM covered_days
    WHERE source = 'api_activity' AND day BETWEEN CAST($as_of AS DATE) - 29 AND CAST($as_of AS DATE)
),

in_map AS (
    SELECT DISTINCT lower(permission_type) AS permission_type, unnest(string_split(permissions, ' ')) AS permission
    FROM ref_endpoint_permissions
),

sign_ins AS (
    SELECT app_id, max(last_at) AS last_at
    FROM (
        SELECT app_id, created_at AS last_at
        FROM stg_sign_ins
        WHERE sign_in_type IN ('interactive', 'non_interactive') AND error_code = 0
        UNION ALL
        SELECT app_id, delegated_client_at AS last_at
        FROM stg_service_principal_sign_in_activities
    )
    WHERE last_at >= CAST($as_of AS DATE) - 29 AND last_at < CAST($as_of AS DATE) + 1
    GROUP BY app_id
)

SELECT
    g.service_principal_id,
    g.resource_id,
    g.permission,
    g.permission_type,
    CASE WHEN w.complete_days = 30 THEN 'complete' WHEN w.days > 0 THEN 'partial' ELSE 'none' END AS window_coverage,
    CASE
        WHEN u.is_graph AND g.permission_type = 'delegated'
            AND g.permission IN ('openid', 'profile', 'email', 'offline_access', 'User.Read') THEN si.last_at
    END AS signed_in_at,
    coalesce(c.unmatched_calls, 0) AS unmatched_calls,
    CASE
        WHEN NOT u.is_graph AND u.token_at IS NOT NULL
            THEN 'calls to this resource are not in the Graph activity log; the app got a token for it on '
                || CAST(u.token_at AS DATE)
        WHEN NOT u.is_graph THEN 'calls to this resource are not in the Graph activity log'
        WHEN g.permission_type = 'delegated'
            AND g.permission IN ('openid', 'profile', 'email', 'offline_access', 'User.Read')
            THEN 'used by signing in, and no sign-in of a user was seen in the 30 days to ' || CAST($as_of AS DATE)
        WHEN m.permission IS NULL THEN 'the endpoint map names no call that needs this permission'
        WHEN u.refused_calls > 0
            THEN 'tried, and not answered with success; calls that this permission allows: ' || u.refused_calls
        WHEN w.complete_days < 30 THEN 'Graph activity is not fully covered for the 30 days to '
            || CAST($as_of AS DATE) || '; complete days: ' || w.complete_days
        WHEN s.created_at IS NULL THEN 'the age of the app is not known'
        WHEN s.created_at >= CAST($as_of AS DATE) - 29 THEN 'the app is younger than 30 days'
        WHEN g.permission_type = 'application' AND g.granted_at IS NULL
            THEN 'the date of the grant is not known'
        WHEN g.granted_at >= CAST($as_of AS DATE) - 29 OR a.age = 'new'
            THEN 'the permission was granted less than 30 days ago'
        WHEN a.age = 'open' THEN 'a consent was given to the app in the 30 days to ' || CAST($as_of AS DATE)
            || ', and it may be this one'
        WHEN c.unmatched_calls > 0 THEN 'calls of the app that the endpoint map does not know: '
            || c.unmatched_calls || ', such as ' || c.unmatched_example
        WHEN c.batches_without_parts > 0 THEN 'the log holds batches of the app without their parts: '
            || c.batches_without_parts
    END AS obstacle,
    a.age IS NULL AND g.permission_type = 'delegated' AS is_age_assumed
FROM consent_grants AS g
CROSS JOIN window_cover AS w
INNER JOIN permission_usage AS u USING (service_principal_id, resource_id, permission, permission_type)
LEFT JOIN in_map AS m ON m.permission = g.permission AND m.permission_type = g.permission_type
LEFT JOIN stg_service_principals AS s ON s.service_principal_id = g.service_principal_id
LEFT JOIN sign_ins AS si ON si.app_id = g.app_id
LEFT JOIN app_call_totals AS c ON c.app_id = g.app_id AND c.permission_type = g.permission_type
LEFT JOIN permission_ages AS a
    ON a.service_principal_id = g.service_principal_id
    AND a.resource_id = g.resource_id
    AND a.permission = g.permission
    AND g.permission_type = 'delegated'
