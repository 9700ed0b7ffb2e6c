-- grain: app seen in a log
-- source: sign_ins_daily, app_activity_daily, stg_sign_ins, stg_api_activity
-- The period is $days days and ends with $as_of; the previous period is as long and ends the day before.
WITH bounds AS (
    SELECT
        CAST($as_of AS DATE) AS last_day,
        CAST($as_of AS DATE) - CAST($days AS INTEGER) + 1 AS first_day,
        CAST($as_of AS DATE) - 2 * CAST($days AS INTEGER) + 1 AS previous_first_day
),

sign_in_totals AS (
    SELECT
        d.app_id,
        sum(d.sign_ins) FILTER (d.day >= b.first_day) AS sign_ins,
        sum(d.sign_ins) FILTER (d.day BETWEEN b.previous_first_day AND b.first_day - 1) AS sign_ins_previous,
        sum(d.failures) FILTER (d.day >= b.first_day) AS failures,
        sum(d.failures) FILTER (d.day BETWEEN b.previous_first_day AND b.first_day - 1) AS failures_previous,
        min(d.day) AS first_day,
        max(d.day) AS last_day
    FROM sign_ins_daily AS d
    CROSS JOIN bounds AS b
    GROUP BY d.app_id
),

call_totals AS (
    SELECT
        d.app_id,
        sum(d.calls) FILTER (d.day >= b.first_day) AS calls,
        sum(d.calls) FILTER (d.day BETWEEN b.previous_first_day AND b.first_day - 1) AS calls_previous,
        sum(d.errors) FILTER (d.day >= b.first_day) AS errors,
        sum(d.throttled) FILTER (d.day >= b.first_day) AS throttled,
        sum(d.bytes_returned) FILTER (d.day >= b.first_day) AS bytes_returned,
        sum(d.bytes_returned) FILTER (d.day BETWEEN b.previous_first_day AND b.first_day - 1) AS bytes_previous,
        list_sort(list_distinct(list(d.service) FILTER (d.day >= b.first_day))) AS services,
        -- of days read as sums nobody is named: the fullest day is the least number there can have been
        max(d.users) FILTER (d.day >= b.first_day) AS users_in_a_day,
        max(d.users) FILTER (d.day BETWEEN b.previous_first_day AND b.first_day - 1) AS users_in_a_day_previous,
        min(d.day) AS first_day,
        max(d.day) AS last_day
    FROM app_activity_daily AS d
    CROSS JOIN bounds AS b
    GROUP BY d.app_id
),

app_users AS (
    SELECT
        u.app_id,
        count(DISTINCT u.user_id) FILTER (u.seen_at >= b.first_day) AS users,
        count(DISTINCT u.user_id) FILTER (u.seen_at < b.first_day) AS users_previous
    FROM (
        SELECT app_id, user_id, created_at AS seen_at FROM stg_sign_ins
        UNION ALL
        SELECT app_id, user_id, called_at AS seen_at FROM stg_api_activity
    ) AS u
    CROSS JOIN bounds AS b
    WHERE u.seen_at >= b.previous_first_day AND u.seen_at < b.last_day + 1 AND u.user_id IS NOT NULL
    GROUP BY u.app_id
)

SELECT
    coalesce(s.app_id, c.app_id) AS app_id,
    CAST(coalesce(s.sign_ins, 0) AS BIGINT) AS sign_ins,
    CAST(coalesce(s.sign_ins_previous, 0) AS BIGINT) AS sign_ins_previous,
    CAST(coalesce(s.failures, 0) AS BIGINT) AS failures,
    CAST(coalesce(s.failures_previous, 0) AS BIGINT) AS failures_previous,
    CAST(coalesce(c.calls, 0) AS BIGINT) AS calls,
    CAST(coalesce(c.calls_previous, 0) AS BIGINT) AS calls_previous,
    CAST(coalesce(c.errors, 0) AS BIGINT) AS errors,
    CAST(coalesce(c.throttled, 0) AS BIGINT) AS throttled,
    CAST(c.bytes_returned AS BIGINT) AS bytes_returned,
    CAST(c.bytes_previous AS BIGINT) AS bytes_previous,
    coalesce(greatest(u.users, c.users_in_a_day), 0) AS users,
    coalesce(greatest(u.users_previous, c.users_in_a_day_previous), 0) AS users_previous,
    coalesce(c.services, CAST([] AS VARCHAR[])) AS services,
    least(s.first_day, c.first_day) AS first_seen,
    greatest(s.last_day, c.last_day) AS last_seen
FROM sign_in_totals AS s
FULL JOIN call_totals AS c ON c.app_id = s.app_id
LEFT JOIN app_users AS u ON u.app_id = coalesce(s.app_id, c.app_id)
ORDER BY app_id
