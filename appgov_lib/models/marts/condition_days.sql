-- grain: app that called Microsoft Graph in the 30 days to $as_of
-- source: app_activity_daily, covered_days
-- A day that was read and shows no call is a day with 0; a day that was not read is unknown.
WITH last AS (
    SELECT CAST($as_of AS DATE) AS day
),

days AS (
    SELECT
        a.app_id,
        a.day,
        sum(a.calls) AS calls,
        sum(a.errors) AS errors,
        -- a day of calls without any size is unknown
        sum(a.bytes_returned) AS bytes
    FROM app_activity_daily AS a
    CROSS JOIN last AS l
    WHERE a.app_id IS NOT NULL AND a.day BETWEEN l.day - 29 AND l.day
    GROUP BY a.app_id, a.day
),

sums AS (
    SELECT
        d.app_id,
        max(d.bytes) AS max_bytes,
        max(d.calls) AS max_calls,
        coalesce(sum(d.calls) FILTER (d.day = l.day), 0) AS calls_last_day,
        coalesce(sum(d.calls) FILTER (d.day = l.day - 1), 0) AS calls_day_before,
        sum(d.bytes) FILTER (d.day = l.day) AS bytes_last_day,
        sum(d.bytes) FILTER (d.day = l.day - 1) AS bytes_day_before,
        sum(d.calls) FILTER (d.day > l.day - 7) AS calls_7d,
        sum(d.errors) FILTER (d.day > l.day - 7) AS errors_7d
    FROM days AS d
    CROSS JOIN last AS l
    GROUP BY d.app_id
)

SELECT
    app_id,
    CAST(max_bytes AS BIGINT) AS max_bytes,
    CAST(max_calls AS BIGINT) AS max_calls,
    CAST(calls_last_day AS BIGINT) AS calls_last_day,
    CAST(calls_day_before AS BIGINT) AS calls_day_before,
    CAST(CASE WHEN calls_last_day = 0 THEN 0 ELSE bytes_last_day END AS BIGINT) AS bytes_last_day,
    CAST(CASE WHEN calls_day_before = 0 THEN 0 ELSE bytes_day_before END AS BIGINT) AS bytes_day_before,
    CAST(coalesce(calls_7d, 0) AS BIGINT) AS calls_7d,
    CAST(coalesce(errors_7d, 0) AS BIGINT) AS errors_7d
FROM sums
ORDER BY app_id
