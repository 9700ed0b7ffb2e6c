-- grain: app present in the tenant or seen in a log
-- source: app_period_totals, app_identity, stg_sign_ins, covered_days
-- The period is $days days and ends with $as_of; the previous period is as long and ends the day before.
WITH bounds AS (
    SELECT
        CAST($as_of AS DATE) AS last_day,
        CAST($as_of AS DATE) - CAST($days AS INTEGER) + 1 AS first_day,
        CAST($as_of AS DATE) - 2 * CAST($days AS INTEGER) + 1 AS previous_first_day
),

-- What was never looked at is NULL, not 0.
cover AS (
    SELECT
        bool_or(c.source LIKE 'sign_ins%' AND c.day BETWEEN b.first_day AND b.last_day) AS sign_ins_now,
        bool_or(c.source LIKE 'sign_ins%' AND c.day BETWEEN b.previous_first_day AND b.first_day - 1)
            AS sign_ins_before,
        bool_or(c.source = 'api_activity' AND c.day BETWEEN b.first_day AND b.last_day) AS calls_now,
        bool_or(c.source = 'api_activity' AND c.day BETWEEN b.previous_first_day AND b.first_day - 1) AS calls_before,
        bool_or(c.day < b.first_day) AS anything_before,
        -- people are counted over rows: where rows of the period were pruned, nobody knows how many there were
        any_value(b.first_day < k.raw_from) AS users_pruned,
        any_value(b.previous_first_day < k.raw_from) AS users_before_pruned
    FROM covered_days AS c
    CROSS JOIN bounds AS b
    CROSS JOIN (SELECT max(raw_from) AS raw_from FROM kept_until) AS k
),

-- Apps of the tenant and apps only the logs know (deleted since, or never granted anything here).
apps AS (
    SELECT app_id FROM app_identity WHERE app_id IS NOT NULL
    UNION
    SELECT app_id FROM app_period_totals
),

names AS (
    SELECT app_id, min(display_name) AS display_name, min(app_origin) AS app_origin FROM app_identity GROUP BY app_id
),

log_names AS (
    SELECT app_id, arg_max(app_name, (created_at, app_name)) AS app_name
    FROM stg_sign_ins
    WHERE app_name IS NOT NULL
    GROUP BY app_id
),

usage AS (
    SELECT
        a.app_id,
        coalesce(n.display_name, l.app_name) AS display_name,
        coalesce(n.app_origin, 'unknown') AS app_origin,
        coalesce(nullif(t.sign_ins, 0), CASE WHEN v.sign_ins_now THEN 0 END) AS sign_ins,
        coalesce(nullif(t.sign_ins_previous, 0), CASE WHEN v.sign_ins_before THEN 0 END) AS sign_ins_previous,
        coalesce(nullif(t.failures, 0), CASE WHEN v.sign_ins_now THEN 0 END) AS failures,
        coalesce(nullif(t.failures_previous, 0), CASE WHEN v.sign_ins_before THEN 0 END) AS failures_previous,
        coalesce(nullif(t.calls, 0), CASE WHEN v.calls_now THEN 0 END) AS calls,
        coalesce(nullif(t.calls_previous, 0), CASE WHEN v.calls_before THEN 0 END) AS calls_previous,
        coalesce(nullif(t.errors, 0), CASE WHEN v.calls_now THEN 0 END) AS errors,
        coalesce(nullif(t.throttled, 0), CASE WHEN v.calls_now THEN 0 END) AS throttled,
        -- shares of all calls; an app without a call has none
        round(t.errors / nullif(t.calls, 0), 4) AS error_rate,
        round(t.throttled / nullif(t.calls, 0), 4) AS throttled_rate,
        CASE WHEN v.calls_now AND coalesce(t.calls, 0) = 0 THEN 0 ELSE t.bytes_returned END AS bytes_returned,
        CASE WHEN v.calls_before AND coalesce(t.calls_previous, 0) = 0 THEN 0 ELSE t.bytes_previous END
            AS bytes_previous,
        CASE
            WHEN v.users_pruned THEN NULL
            ELSE coalesce(nullif(t.users, 0), CASE WHEN v.sign_ins_now OR v.calls_now THEN 0 END)
        END AS users,
        CASE
            WHEN v.users_before_pruned THEN NULL
            ELSE coalesce(nullif(t.users_previous, 0), CASE WHEN v.sign_ins_before OR v.calls_before THEN 0 END)
        END AS users_previous,
        coalesce(t.services, CAST([] AS VARCHAR[])) AS services,
        t.first_seen,
        t.last_seen,
        coalesce(t.sign_ins, 0) + coalesce(t.calls, 0) > 0 AS seen_now,
        coalesce(t.sign_ins_previous, 0) + coalesce(t.calls_previous, 0) > 0 AS seen_before,
        v.anything_before
    FROM apps AS a
    CROSS JOIN cover AS v
    LEFT JOIN names AS n ON n.app_id = a.app_id
    LEFT JOIN log_names AS l ON l.app_id = a.app_id
    LEFT JOIN app_period_totals AS t ON t.app_id = a.app_id
)

SELECT
    usage.* EXCLUDE (seen_now, seen_before, anything_before),
    CASE
        -- without any earlier day nobody can say that an app is new
        WHEN seen_now AND first_seen >= b.first_day AND anything_before THEN 'new'
        WHEN seen_now AND NOT seen_before AND first_seen < b.previous_first_day THEN 'returned'
        WHEN seen_now THEN 'active'
        WHEN seen_before THEN 'went quiet'
        ELSE 'inactive'
    END AS state
FROM usage
CROSS JOIN bounds AS b
ORDER BY app_id
