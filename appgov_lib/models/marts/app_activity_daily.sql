-- grain: app x day x service
-- source: api_calls_daily, stg_api_activity (its users), kept_app_activity_daily (days whose raw rows were pruned)
WITH counted AS (
    SELECT
        app_id,
        day,
        service,
        CAST(sum(calls) AS BIGINT) AS calls,
        CAST(coalesce(sum(calls) FILTER (status >= 400 AND status <> 429), 0) AS BIGINT) AS errors,
        CAST(coalesce(sum(calls) FILTER (status = 429), 0) AS BIGINT) AS throttled,
        -- NULL when no call had a size; sizes are what the service sent, uploads are not measured
        CAST(sum(bytes_returned) AS BIGINT) AS bytes_returned,
        CAST(sum(bytes_unknown_calls) AS BIGINT) AS bytes_unknown_calls,
        -- of sums: those at the endpoint that most people reached, which is the least number there can have been
        max(users) AS users_at_least,
        CAST(coalesce(sum(calls) FILTER (access = 'read'), 0) AS BIGINT) AS reads,
        CAST(coalesce(sum(calls) FILTER (access = 'write'), 0) AS BIGINT) AS writes
    FROM api_calls_daily
    GROUP BY ALL
),

people AS (
    SELECT app_id, CAST(called_at AS DATE) AS day, service, count(DISTINCT user_id) AS users
    FROM stg_api_activity
    WHERE user_id IS NOT NULL AND NOT is_batch_envelope
    GROUP BY ALL
)

-- Of a day that was kept some raw rows may be left at the edge of another file: they are in its sums already.
SELECT
    c.app_id,
    c.day,
    c.service,
    c.calls,
    c.errors,
    c.throttled,
    c.bytes_returned,
    c.bytes_unknown_calls,
    greatest(coalesce(p.users, 0), c.users_at_least) AS users,
    c.reads,
    c.writes
FROM counted AS c
LEFT JOIN people AS p ON p.app_id = c.app_id AND p.day = c.day AND p.service = c.service
ANTI JOIN kept_app_activity_daily AS k ON k.day = c.day
UNION ALL
SELECT *
FROM kept_app_activity_daily
WHERE day <= CAST($as_of AS DATE)
ORDER BY app_id, day, service
