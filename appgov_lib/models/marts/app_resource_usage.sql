-- grain: app x resource type x kind of call, over the 30 days that end with $as_of
-- source: stg_api_activity
-- Successful means any status from 200 to 299. Envelopes of batches are no calls: their parts are logged one by one.
SELECT
    app_id,
    resource_type,
    service,
    -- NULL where the log does not tell whether a user was behind the call
    is_app_only,
    count(*) AS calls,
    count(*) FILTER (access = 'read' AND status BETWEEN 200 AND 299) AS good_reads,
    count(*) FILTER (access = 'write' AND status BETWEEN 200 AND 299) AS good_writes,
    max(called_at) FILTER (access = 'read' AND status BETWEEN 200 AND 299) AS last_good_read_at,
    max(called_at) FILTER (access = 'write' AND status BETWEEN 200 AND 299) AS last_good_write_at
FROM stg_api_activity
WHERE app_id IS NOT NULL
    AND NOT is_batch_envelope
    AND called_at >= CAST($as_of AS DATE) - 29
    AND called_at < CAST($as_of AS DATE) + 1
GROUP BY ALL
ORDER BY app_id, resource_type, service, is_app_only
