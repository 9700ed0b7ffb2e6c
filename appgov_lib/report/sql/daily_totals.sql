-- grain: measure x day
-- source: sign_ins_daily, app_activity_daily, covered_days; two periods up to $as_of, covered days only
WITH days AS (
    SELECT day, bool_or(source LIKE 'sign_ins%') AS has_sign_ins, bool_or(source = 'api_activity') AS has_calls
    FROM covered_days
    WHERE day BETWEEN CAST($as_of AS DATE) - 2 * CAST($days AS INTEGER) + 1 AND CAST($as_of AS DATE)
    GROUP BY day
),

sign_ins AS (
    SELECT day, sum(sign_ins) AS sign_ins FROM sign_ins_daily GROUP BY day
),

calls AS (
    SELECT day, sum(calls) AS calls, sum(bytes_returned) AS bytes_returned FROM app_activity_daily GROUP BY day
)

SELECT
    d.day,
    CASE WHEN d.has_sign_ins THEN coalesce(s.sign_ins, 0) END AS sign_ins,
    CASE WHEN d.has_calls THEN coalesce(c.calls, 0) END AS calls,
    CASE WHEN d.has_calls AND c.day IS NULL THEN 0 ELSE c.bytes_returned END AS bytes_returned
FROM days AS d
LEFT JOIN sign_ins AS s ON s.day = d.day
LEFT JOIN calls AS c ON c.day = d.day
ORDER BY d.day
