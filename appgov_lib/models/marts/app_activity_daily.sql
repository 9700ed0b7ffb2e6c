-- grain: app x day x service
-- source: stg_api_activity, kept_app_activity_daily (days whose raw rows were pruned)
-- The parts of a batch are logged one by one: the envelope is no call, and its bytes are theirs.
WITH counted AS (
    SELECT
        app_id,
        CAST(called_at AS DATE) AS day,
        service,
        count(*) AS calls,
        count(*) FILTER (status >= 400 AND status <> 429) AS errors,
        count(*) FILTER (status = 429) AS throttled,
        -- NULL when no call had a size; sizes are what the service sent, uploads are not measured
        CAST(sum(bytes_returned) AS BIGINT) AS bytes_returned,
        count(*) FILTER (bytes_returned IS NULL) AS bytes_unknown_calls,
        count(DISTINCT user_id) AS users,
        count(*) FILTER (access = 'read') AS reads,
        count(*) FILTER (access = 'write') AS writes
    FROM stg_api_activity
    WHERE app_id IS NOT NULL
        AND NOT is_batch_envelope
        AND called_at < CAST($as_of AS DATE) + 1
    GROUP BY ALL
)

-- Of a day that was kept some raw rows may be left at the edge of another file: they are in its sums already.
SELECT c.*
FROM counted AS c
ANTI JOIN kept_app_activity_daily AS k ON k.day = c.day
UNION ALL
SELECT *
FROM kept_app_activity_daily
WHERE day <= CAST($as_of AS DATE)
ORDER BY app_id, day, service
