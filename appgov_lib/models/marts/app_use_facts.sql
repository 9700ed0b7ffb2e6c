-- grain: service principal
-- source: app_identity, app_marks, app_last_use, app_data_usage, covered_days
-- When an app was last used, over all sources, and what it did in the 30 days to $as_of.
WITH api_cover AS (
    SELECT
        count(*) FILTER (day > CAST($as_of AS DATE) - 30) > 0 AS has_days,
        count(*) FILTER (is_complete AND day <= CAST($as_of AS DATE) - 30) = 30 AS before_complete
    FROM covered_days
    WHERE source = 'api_activity' AND day BETWEEN CAST($as_of AS DATE) - 59 AND CAST($as_of AS DATE)
),

used AS (
    SELECT
        i.service_principal_id,
        u.last_sign_in_at,
        u.last_api_call_at,
        greatest(u.last_used_at, b.microsoft_last_used_at) AS last_used_at,
        CASE
            WHEN u.last_used_at >= coalesce(b.microsoft_last_used_at, u.last_used_at) THEN u.last_used_source
            WHEN b.microsoft_last_used_at IS NOT NULL THEN 'app governance'
        END AS last_used_source,
        a.has_days,
        a.before_complete,
        coalesce(d.calls_30d, CASE WHEN a.has_days THEN 0 END) AS calls_30d,
        u.users_30d,
        u.services,
        d.* EXCLUDE (app_id, calls_30d)
    FROM app_identity AS i
    CROSS JOIN api_cover AS a
    LEFT JOIN app_marks AS b ON b.service_principal_id = i.service_principal_id
    LEFT JOIN app_last_use AS u ON u.app_id = i.app_id
    LEFT JOIN app_data_usage AS d ON d.app_id = i.app_id
)

SELECT
    service_principal_id,
    last_sign_in_at,
    last_api_call_at,
    last_used_at,
    last_used_source,
    -- greatest() alone would turn "never" into 0
    CASE
        WHEN last_used_at IS NOT NULL
            THEN greatest(0, date_diff('day', CAST(last_used_at AS DATE), CAST($as_of AS DATE)))
    END AS days_since_last_use,
    calls_30d,
    coalesce(reads_30d, CASE WHEN has_days THEN 0 END) AS reads_30d,
    coalesce(writes_30d, CASE WHEN has_days THEN 0 END) AS writes_30d,
    CASE WHEN has_days AND calls_30d = 0 THEN 0 ELSE bytes_30d END AS bytes_30d,
    coalesce(unsized_calls_30d, CASE WHEN has_days THEN 0 END) AS unsized_calls_30d,
    coalesce(calls_previous_30d, CASE WHEN before_complete THEN 0 END) AS calls_previous_30d,
    CASE WHEN before_complete AND coalesce(calls_previous_30d, 0) = 0 THEN 0 ELSE bytes_previous_30d END
        AS bytes_previous_30d,
    bytes_trend_percent,
    coalesce(users_30d, CASE WHEN has_days THEN 0 END) AS users_30d,
    coalesce(services, CASE WHEN has_days THEN CAST([] AS VARCHAR[]) END) AS services
FROM used
ORDER BY service_principal_id
