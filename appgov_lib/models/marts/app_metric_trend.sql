-- grain: app x metric x day of the period
-- source: daily_metrics
-- A day beside the day before, the same weekday a week before, and the middle of that weekday in the four weeks before
-- the period. A day nobody looked at is NULL, not 0.
WITH days AS (
    SELECT app_id, metric, day, value
    FROM daily_metrics
    WHERE day > CAST($as_of AS DATE) - CAST($days AS INTEGER) - 28
),

-- The days the period is set beside: all five weeks in the joins below would cost four times as much.
lately AS (
    SELECT app_id, metric, day, value
    FROM days
    WHERE day > CAST($as_of AS DATE) - CAST($days AS INTEGER) - 7
),

weekdays AS (
    SELECT
        app_id,
        metric,
        isodow(day) AS weekday,
        median(value) AS usual,
        count(*) AS weeks
    FROM days
    WHERE day <= CAST($as_of AS DATE) - CAST($days AS INTEGER)
    GROUP BY ALL
)

SELECT
    d.app_id,
    d.metric,
    d.day,
    d.value,
    b.value AS day_before,
    w.value AS week_before,
    u.usual AS weekday_median,
    coalesce(u.weeks, 0) AS weekday_count,
    -- against nothing there is no share
    round(100 * (d.value - b.value) / nullif(b.value, 0), 1) AS day_before_percent,
    round(100 * (d.value - w.value) / nullif(w.value, 0), 1) AS week_before_percent,
    round(100 * (d.value - u.usual) / nullif(u.usual, 0), 1) AS weekday_percent
FROM days AS d
LEFT JOIN lately AS b ON b.app_id = d.app_id AND b.metric = d.metric AND b.day = d.day - 1
LEFT JOIN lately AS w ON w.app_id = d.app_id AND w.metric = d.metric AND w.day = d.day - 7
LEFT JOIN weekdays AS u ON u.app_id = d.app_id AND u.metric = d.metric AND u.weekday = isodow(d.day)
WHERE d.day > CAST($as_of AS DATE) - CAST($days AS INTEGER)
ORDER BY d.app_id, d.metric, d.day
