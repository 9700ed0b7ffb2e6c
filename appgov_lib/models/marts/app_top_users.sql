-- grain: app x user, the ten behind most of each app's work in the period
-- source: stg_sign_ins, stg_api_activity, app_period_totals, stg_users
-- Calls read as sums name nobody: the share says how much of the app's calls the user is known to be behind.
WITH events AS (
    SELECT app_id, user_id, count(*) AS sign_ins, 0 AS calls, NULL AS bytes_returned
    FROM stg_sign_ins
    WHERE created_at >= CAST($as_of AS DATE) - CAST($days AS INTEGER) + 1 AND created_at < CAST($as_of AS DATE) + 1
    GROUP BY app_id, user_id
    UNION ALL
    SELECT app_id, user_id, 0 AS sign_ins, count(*) AS calls, sum(bytes_returned) AS bytes_returned
    FROM stg_api_activity
    WHERE called_at >= CAST($as_of AS DATE) - CAST($days AS INTEGER) + 1 AND called_at < CAST($as_of AS DATE) + 1
        AND NOT is_batch_envelope
    GROUP BY app_id, user_id
),

users AS (
    SELECT
        app_id,
        user_id,
        CAST(sum(sign_ins) AS BIGINT) AS sign_ins,
        CAST(sum(calls) AS BIGINT) AS calls,
        CAST(sum(bytes_returned) AS BIGINT) AS bytes_returned
    FROM events
    WHERE app_id IS NOT NULL AND user_id IS NOT NULL
    GROUP BY app_id, user_id
    QUALIFY row_number() OVER (
        PARTITION BY app_id
        ORDER BY sum(bytes_returned) DESC NULLS LAST, sum(calls) DESC, sum(sign_ins) DESC, user_id
    ) <= 10
)

SELECT
    u.app_id,
    u.user_id,
    p.user_principal_name,
    u.sign_ins,
    u.calls,
    -- NULL when none of the calls had a size
    u.bytes_returned,
    round(u.calls / nullif(t.calls, 0), 4) AS calls_share,
    round(u.bytes_returned / nullif(t.bytes_returned, 0), 4) AS bytes_share
FROM users AS u
LEFT JOIN app_period_totals AS t ON t.app_id = u.app_id
LEFT JOIN stg_users AS p ON p.user_id = u.user_id
ORDER BY u.app_id, u.bytes_returned DESC NULLS LAST, u.calls DESC, u.sign_ins DESC, u.user_id
