-- grain: app x resource type x kind of call, over the 30 days that end with $as_of
-- source: api_calls_daily
-- Successful means any status from 200 to 299.
SELECT
    app_id,
    resource_type,
    service,
    -- NULL where the log does not tell whether a user was behind the call
    is_app_only,
    CAST(sum(calls) AS BIGINT) AS calls,
    CAST(coalesce(sum(calls) FILTER (access = 'read' AND status BETWEEN 200 AND 299), 0) AS BIGINT) AS good_reads,
    CAST(coalesce(sum(calls) FILTER (access = 'write' AND status BETWEEN 200 AND 299), 0) AS BIGINT) AS good_writes,
    max(last_called_at) FILTER (access = 'read' AND status BETWEEN 200 AND 299) AS last_good_read_at,
    max(last_called_at) FILTER (access = 'write' AND status BETWEEN 200 AND 299) AS last_good_write_at
FROM api_calls_daily
WHERE day BETWEEN CAST($as_of AS DATE) - 29 AND CAST($as_of AS DATE)
GROUP BY ALL
ORDER BY app_id, resource_type, service, is_app_only
