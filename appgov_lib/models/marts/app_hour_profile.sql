-- grain: app x hour of the week (UTC) with activity in the 28 days to $as_of
-- source: stg_sign_ins, stg_api_activity, api_day_sources
-- Calls read as sums have no hour: calls is NULL where no such weekday was read as single requests.
WITH sign_ins AS (
    SELECT
        app_id,
        isodow(created_at) AS weekday,
        hour(created_at) AS hour,
        count(*) AS sign_ins
    FROM stg_sign_ins
    WHERE app_id IS NOT NULL
        AND created_at >= CAST($as_of AS DATE) - 27 AND created_at < CAST($as_of AS DATE) + 1
    GROUP BY ALL
),

calls AS (
    SELECT
        app_id,
        isodow(called_at) AS weekday,
        hour(called_at) AS hour,
        count(*) AS calls
    FROM stg_api_activity
    WHERE app_id IS NOT NULL
        AND NOT is_batch_envelope
        AND called_at >= CAST($as_of AS DATE) - 27 AND called_at < CAST($as_of AS DATE) + 1
    GROUP BY ALL
),

read_days AS (
    SELECT isodow(day) AS weekday
    FROM api_day_sources
    WHERE read_from = 'requests' AND day > CAST($as_of AS DATE) - 28
    GROUP BY ALL
),

found AS (
    SELECT
        coalesce(s.app_id, c.app_id) AS app_id,
        coalesce(s.weekday, c.weekday) AS weekday,
        coalesce(s.hour, c.hour) AS hour,
        coalesce(s.sign_ins, 0) AS sign_ins,
        c.calls
    FROM sign_ins AS s
    FULL JOIN calls AS c ON c.app_id = s.app_id AND c.weekday = s.weekday AND c.hour = s.hour
)

SELECT
    f.app_id,
    f.weekday,
    f.hour,
    f.sign_ins,
    CASE WHEN r.weekday IS NOT NULL THEN coalesce(f.calls, 0) END AS calls
FROM found AS f
LEFT JOIN read_days AS r ON r.weekday = f.weekday
ORDER BY f.app_id, f.weekday, f.hour
