-- grain: app x metric x anomalous day x dimension x value
-- source: anomalies, flagged_days (its anomalous days), stg_api_activity, stg_api_activity_sums, stg_sign_ins,
-- api_day_sources
-- The five values that took part most on the day, with their share of it and their share of the twelve weeks before
-- the judged days. Where the log does not tell, one row says so: its value is NULL and its reason is not.
WITH period AS (
    SELECT min(day) AS first_day FROM anomalies
),

requests AS (
    SELECT
        a.app_id,
        CAST(a.called_at AS DATE) AS day,
        a.user_id,
        a.endpoint,
        a.ip_address,
        1 AS calls,
        a.bytes_returned
    FROM stg_api_activity AS a
    SEMI JOIN flagged_days AS f ON f.app_id = a.app_id
    SEMI JOIN api_day_sources AS d ON d.day = CAST(a.called_at AS DATE) AND d.read_from = 'requests'
    WHERE NOT a.is_batch_envelope
),

sums AS (
    SELECT s.app_id, s.day, s.endpoint, s.calls, s.bytes_returned
    FROM stg_api_activity_sums AS s
    SEMI JOIN flagged_days AS f ON f.app_id = s.app_id
    SEMI JOIN api_day_sources AS d ON d.day = s.day AND d.read_from = 'sums'
    WHERE NOT s.is_batch_envelope
),

sign_ins AS (
    SELECT
        s.app_id,
        CAST(s.created_at AS DATE) AS day,
        s.user_id,
        s.ip_address,
        1 AS sign_ins,
        CAST(coalesce(s.error_code, 0) <> 0 AS INTEGER) AS failures
    FROM stg_sign_ins AS s
    SEMI JOIN flagged_days AS f ON f.app_id = s.app_id
),

events AS (
    SELECT app_id, 'api_calls' AS metric, day, 'user' AS dimension, user_id AS value, calls AS amount FROM requests
    UNION ALL
    SELECT app_id, 'bytes_returned', day, 'user', user_id, bytes_returned FROM requests
    UNION ALL
    SELECT app_id, 'api_calls', day, 'endpoint', endpoint, calls FROM requests
    UNION ALL
    SELECT app_id, 'bytes_returned', day, 'endpoint', endpoint, bytes_returned FROM requests
    UNION ALL
    SELECT app_id, 'api_calls', day, 'address', ip_address, calls FROM requests
    UNION ALL
    SELECT app_id, 'bytes_returned', day, 'address', ip_address, bytes_returned FROM requests
    UNION ALL
    SELECT app_id, 'api_calls', day, 'endpoint', endpoint, calls FROM sums
    UNION ALL
    SELECT app_id, 'bytes_returned', day, 'endpoint', endpoint, bytes_returned FROM sums
    UNION ALL
    SELECT app_id, 'sign_ins', day, 'user', user_id, sign_ins FROM sign_ins
    UNION ALL
    SELECT app_id, 'sign_ins', day, 'address', ip_address, sign_ins FROM sign_ins
    UNION ALL
    SELECT app_id, 'failures', day, 'user', user_id, failures FROM sign_ins
    UNION ALL
    SELECT app_id, 'failures', day, 'address', ip_address, failures FROM sign_ins
),

known AS (
    SELECT app_id, metric, day, dimension, value, sum(amount) AS amount
    FROM events
    WHERE value IS NOT NULL AND amount > 0
    GROUP BY ALL
),

usual AS (
    SELECT
        app_id,
        metric,
        dimension,
        value,
        sum(amount) / sum(sum(amount)) OVER (PARTITION BY app_id, metric, dimension) AS usual_share
    FROM known
    WHERE day < (SELECT first_day FROM period) AND day >= (SELECT first_day FROM period) - 84
    GROUP BY app_id, metric, dimension, value
),

ranked AS (
    SELECT
        k.*,
        k.amount / sum(k.amount) OVER same_day AS share,
        row_number() OVER (same_day ORDER BY k.amount DESC, k.value) AS place
    FROM known AS k
    SEMI JOIN flagged_days AS f ON f.app_id = k.app_id AND f.metric = k.metric AND f.day = k.day
    WINDOW same_day AS (PARTITION BY k.app_id, k.metric, k.day, k.dimension)
),

dimensions AS (
    SELECT f.*, d.dimension
    FROM flagged_days AS f
    CROSS JOIN (VALUES ('user'), ('endpoint'), ('address')) AS d (dimension)
    -- a sign-in has no endpoint
    WHERE d.dimension <> 'endpoint' OR f.metric IN ('api_calls', 'bytes_returned')
)

SELECT
    d.app_id,
    d.metric,
    d.day,
    d.dimension,
    coalesce(r.place, 1) AS place,
    r.value,
    CAST(r.amount AS DOUBLE) AS amount,
    r.share,
    -- a value never seen before has no usual share; without any history it is not known
    CASE WHEN r.value IS NOT NULL AND h.app_id IS NOT NULL THEN coalesce(u.usual_share, 0) END AS usual_share,
    CASE
        WHEN r.value IS NOT NULL THEN ''
        WHEN a.observed = 0 THEN 'nothing happened on this day'
        ELSE 'the logs of this day do not tell'
    END AS reason
FROM dimensions AS d
INNER JOIN anomalies AS a ON a.app_id = d.app_id AND a.metric = d.metric AND a.day = d.day
LEFT JOIN ranked AS r
    ON r.app_id = d.app_id AND r.metric = d.metric AND r.day = d.day AND r.dimension = d.dimension AND r.place <= 5
LEFT JOIN usual AS u
    ON u.app_id = r.app_id AND u.metric = r.metric AND u.dimension = r.dimension AND u.value = r.value
LEFT JOIN (SELECT DISTINCT app_id, metric, dimension FROM usual) AS h
    ON h.app_id = d.app_id AND h.metric = d.metric AND h.dimension = d.dimension
ORDER BY d.app_id, d.metric, d.day, d.dimension, place
