-- grain: app that was ever seen at work
-- source: stg_service_principal_sign_in_activities, stg_sign_ins, api_calls_daily, kept_last_uses
WITH sign_ins AS (
    SELECT coalesce(i.app_id, s.app_id) AS app_id, max(i.created_at) AS last_at
    FROM stg_sign_ins AS i
    LEFT JOIN stg_service_principals AS s ON s.service_principal_id = i.service_principal_id
    WHERE i.created_at < CAST($as_of AS DATE) + 1
    GROUP BY 1
),

calls AS (
    SELECT
        app_id,
        max(last_called_at) AS last_at,
        CAST(coalesce(sum(calls) FILTER (day >= CAST($as_of AS DATE) - 29), 0) AS BIGINT) AS calls_30d,
        CAST(sum(bytes_returned) FILTER (day >= CAST($as_of AS DATE) - 29) AS BIGINT) AS bytes_30d,
        list_sort(list_distinct(list(service) FILTER (day >= CAST($as_of AS DATE) - 29))) AS services
    FROM api_calls_daily
    GROUP BY app_id
),

people AS (
    SELECT app_id, count(DISTINCT user_id) AS users_30d
    FROM stg_api_activity
    WHERE called_at >= CAST($as_of AS DATE) - 29 AND called_at < CAST($as_of AS DATE) + 1 AND NOT is_batch_envelope
    GROUP BY app_id
),

-- of days that were read as sums: the day with most people, which is the least number there can have been
people_at_least AS (
    SELECT app_id, max(users) AS users_30d
    FROM api_calls_daily
    WHERE day >= CAST($as_of AS DATE) - 29
    GROUP BY app_id
),

uses AS (
    SELECT app_id, last_sign_in_at AS used_at, 1 AS preference, 'sign-in activity report' AS source
    FROM stg_service_principal_sign_in_activities
    UNION ALL
    SELECT app_id, last_at, 2, 'sign-in log' FROM sign_ins
    UNION ALL
    SELECT app_id, last_at, 3, 'Graph activity log' FROM calls
    UNION ALL
    -- of rows that were pruned the last time stays
    SELECT
        app_id,
        last_at,
        CASE kind WHEN 'call' THEN 3 ELSE 2 END,
        CASE kind WHEN 'call' THEN 'Graph activity log' ELSE 'sign-in log' END
    FROM kept_last_uses
    WHERE kind IN ('sign_in', 'call') AND last_at < CAST($as_of AS DATE) + 1
),

last_uses AS (
    SELECT
        app_id,
        max(used_at) FILTER (preference < 3) AS last_sign_in_at,
        max(used_at) FILTER (preference = 3) AS last_api_call_at,
        max(used_at) AS last_used_at,
        arg_max(source, (used_at, -preference)) FILTER (used_at IS NOT NULL) AS last_used_source
    FROM uses
    WHERE app_id IS NOT NULL
    GROUP BY app_id
)

SELECT
    u.app_id,
    u.last_sign_in_at,
    u.last_api_call_at,
    u.last_used_at,
    u.last_used_source,
    -- greatest() alone would turn "never" into 0
    CASE
        WHEN u.last_used_at IS NOT NULL
            THEN greatest(0, date_diff('day', CAST(u.last_used_at AS DATE), CAST($as_of AS DATE)))
    END AS days_since_last_use,
    -- an app whose calls are all too old, or pruned, made none in the 30 days
    coalesce(c.calls_30d, CASE WHEN u.last_api_call_at IS NOT NULL THEN 0 END) AS calls_30d,
    c.bytes_30d,
    coalesce(
        greatest(p.users_30d, l.users_30d),
        CASE WHEN u.last_api_call_at IS NOT NULL THEN 0 END
    ) AS users_30d,
    c.services
FROM last_uses AS u
LEFT JOIN calls AS c ON c.app_id = u.app_id
LEFT JOIN people AS p ON p.app_id = u.app_id
LEFT JOIN people_at_least AS l ON l.app_id = u.app_id
ORDER BY u.app_id
