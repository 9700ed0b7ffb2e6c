-- grain: app x day x resource type
-- source: api_calls_daily, kept_app_resource_daily (days whose raw rows were pruned)
WITH counted AS (
    SELECT
        app_id,
        day,
        resource_type,
        CAST(sum(calls) AS BIGINT) AS calls,
        -- NULL when no call had a size
        CAST(sum(bytes_returned) AS BIGINT) AS bytes_returned,
        CAST(sum(bytes_unknown_calls) AS BIGINT) AS bytes_unknown_calls
    FROM api_calls_daily
    GROUP BY ALL
)

SELECT c.*
FROM counted AS c
ANTI JOIN kept_app_resource_daily AS k ON k.day = c.day
UNION ALL
SELECT *
FROM kept_app_resource_daily
WHERE day <= CAST($as_of AS DATE)
ORDER BY app_id, day, resource_type
