-- grain: API request
-- source: api_requests, api_paths
SELECT
    r.*,
    p.endpoint,
    coalesce(p.service, 'Other') AS service,
    coalesce(p.resource_type, 'other') AS resource_type,
    api_access(r.method, p.endpoint) AS access,
    coalesce(p.is_batch_envelope, false) AS is_batch_envelope
FROM api_requests AS r
LEFT JOIN api_paths AS p ON p.path = r.path
ORDER BY r.called_at, r.request_id
