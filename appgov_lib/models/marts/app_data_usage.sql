-- grain: app that called Microsoft Graph in the 60 days to $as_of
-- source: app_activity_daily, covered_days
-- Two windows of 30 days that follow each other. Sizes are what the service sent; uploads are not measured.
WITH cover AS (
    SELECT
        count(*) FILTER (day > CAST($as_of AS DATE) - 30) = 30 AS now_complete,
        count(*) FILTER (day <= CAST($as_of AS DATE) - 30) = 30 AS before_complete
    FROM covered_days
    WHERE source = 'api_activity'
        AND is_complete
        AND day BETWEEN CAST($as_of AS DATE) - 59 AND CAST($as_of AS DATE)
),

sums AS (
    SELECT
        app_id,
        CAST(coalesce(sum(calls) FILTER (is_now), 0) AS BIGINT) AS calls_30d,
        CAST(coalesce(sum(reads) FILTER (is_now), 0) AS BIGINT) AS reads_30d,
        CAST(coalesce(sum(writes) FILTER (is_now), 0) AS BIGINT) AS writes_30d,
        CAST(sum(bytes_returned) FILTER (is_now) AS BIGINT) AS bytes_30d,
        CAST(coalesce(sum(bytes_unknown_calls) FILTER (is_now), 0) AS BIGINT) AS unsized_calls_30d,
        CAST(coalesce(sum(calls) FILTER (NOT is_now), 0) AS BIGINT) AS calls_previous_30d,
        CAST(sum(bytes_returned) FILTER (NOT is_now) AS BIGINT) AS bytes_before,
        CAST(coalesce(sum(bytes_unknown_calls) FILTER (NOT is_now), 0) AS BIGINT) AS unsized_before
    FROM (
        SELECT *, day > CAST($as_of AS DATE) - 30 AS is_now
        FROM app_activity_daily
        WHERE app_id IS NOT NULL AND day BETWEEN CAST($as_of AS DATE) - 59 AND CAST($as_of AS DATE)
    )
    GROUP BY app_id
)

SELECT
    s.app_id,
    s.calls_30d,
    s.reads_30d,
    s.writes_30d,
    CASE WHEN s.calls_30d > 0 THEN s.bytes_30d ELSE 0 END AS bytes_30d,
    s.unsized_calls_30d,
    CASE WHEN c.before_complete THEN s.calls_previous_30d END AS calls_previous_30d,
    CASE
        WHEN c.before_complete AND s.calls_previous_30d > 0 THEN s.bytes_before
        WHEN c.before_complete THEN 0
    END AS bytes_previous_30d,
    -- said only between two whole windows, and not where more than one call in twenty has no size
    CASE
        WHEN c.now_complete AND c.before_complete AND s.bytes_before > 0
            AND s.unsized_calls_30d <= 0.05 * s.calls_30d AND s.unsized_before <= 0.05 * s.calls_previous_30d
            THEN round(100.0 * (coalesce(s.bytes_30d, 0) - s.bytes_before) / s.bytes_before, 1)
    END AS bytes_trend_percent
FROM sums AS s
CROSS JOIN cover AS c
ORDER BY s.app_id
