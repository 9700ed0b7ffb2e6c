-- grain: app with usual hours x day on which it signed in, over eight weeks
-- source: stg_sign_ins, kept_until
-- Usual are the hours of weekdays, and of weekends, that hold at least one in a hundred of the app's sign-ins before the
-- period. An app needs 100 of them on 14 days for that; one that works around the clock has no other hours.
WITH hours AS (
    SELECT
        app_id,
        CAST(created_at AS DATE) AS day,
        isodow(created_at) >= 6 AS is_weekend,
        hour(created_at) AS hour,
        count(*) AS sign_ins
    FROM stg_sign_ins
    WHERE app_id IS NOT NULL
        AND created_at >= CAST($as_of AS DATE) - 55 AND created_at < CAST($as_of AS DATE) + 1
        -- of a pruned day some rows may be left, and nobody knows which
        AND created_at >= coalesce((SELECT max(raw_from) FROM kept_until WHERE family = 'sign_ins'), DATE '0001-01-01')
    GROUP BY ALL
),

history AS (
    SELECT * FROM hours WHERE day <= CAST($as_of AS DATE) - CAST($days AS INTEGER)
),

apps AS (
    SELECT app_id, sum(sign_ins) AS sign_ins
    FROM history
    GROUP BY app_id
    HAVING sum(sign_ins) >= 100 AND count(DISTINCT day) >= 14
),

usual AS (
    SELECT h.app_id, h.is_weekend, h.hour
    FROM history AS h
    INNER JOIN apps AS a ON a.app_id = h.app_id
    GROUP BY h.app_id, h.is_weekend, h.hour, a.sign_ins
    HAVING sum(h.sign_ins) >= 0.01 * a.sign_ins
)

SELECT
    h.app_id,
    h.day,
    CAST(coalesce(sum(h.sign_ins) FILTER (u.app_id IS NULL), 0) AS BIGINT) AS sign_ins
FROM hours AS h
INNER JOIN apps AS a ON a.app_id = h.app_id
LEFT JOIN usual AS u ON u.app_id = h.app_id AND u.is_weekend = h.is_weekend AND u.hour = h.hour
GROUP BY h.app_id, h.day
