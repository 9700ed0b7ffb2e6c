-- grain: app x day x method x status x endpoint x workload x with or without a user
-- source: api_sums, api_paths
SELECT
    s.app_id,
    s.day,
    s.workload,
    p.service,
    p.resource_type,
    p.endpoint,
    s.method,
    api_access(s.method, p.endpoint) AS access,
    s.status,
    s.is_app_only,
    coalesce(p.is_batch_envelope, false) AS is_batch_envelope,
    CAST(sum(s.calls) AS BIGINT) AS calls,
    -- no size known is not zero bytes
    CAST(CASE WHEN sum(s.bytes_unknown_calls) < sum(s.calls) THEN sum(s.bytes) END AS BIGINT) AS bytes_returned,
    CAST(sum(s.bytes_unknown_calls) AS BIGINT) AS bytes_unknown_calls,
    -- people of two windows may be the same: the larger count is sure
    max(s.users) AS users,
    min(s.first_called_at) AS first_called_at,
    max(s.last_called_at) AS last_called_at
FROM api_sums AS s
LEFT JOIN api_paths AS p ON p.path = s.path
GROUP BY ALL
ORDER BY ALL
