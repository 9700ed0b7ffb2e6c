-- grain: app x day x method x status x endpoint x with or without a user
-- source: stg_api_activity or stg_api_activity_sums, by api_day_sources
-- The parts of a batch are logged one by one: the envelope is no call, and its bytes are theirs.
WITH requests AS (
    SELECT
        app_id,
        CAST(called_at AS DATE) AS day,
        service,
        resource_type,
        endpoint,
        method,
        access,
        status,
        -- NULL where the log does not tell whether a user was behind the call
        is_app_only,
        count(*) AS calls,
        -- NULL when no call had a size; sizes are what the service sent, uploads are not measured
        CAST(sum(bytes_returned) AS BIGINT) AS bytes_returned,
        count(*) FILTER (bytes_returned IS NULL) AS bytes_unknown_calls,
        count(DISTINCT user_id) AS users,
        min(called_at) AS first_called_at,
        max(called_at) AS last_called_at
    FROM stg_api_activity
    WHERE app_id IS NOT NULL AND NOT is_batch_envelope
    GROUP BY ALL
),

sums AS (
    SELECT
        app_id,
        day,
        coalesce(service, 'Other') AS service,
        coalesce(resource_type, 'other') AS resource_type,
        endpoint,
        method,
        access,
        status,
        is_app_only,
        CAST(sum(calls) AS BIGINT) AS calls,
        CAST(sum(bytes_returned) AS BIGINT) AS bytes_returned,
        CAST(sum(bytes_unknown_calls) AS BIGINT) AS bytes_unknown_calls,
        max(users) AS users,
        min(coalesce(first_called_at, day)) AS first_called_at,
        max(coalesce(last_called_at, day)) AS last_called_at
    FROM stg_api_activity_sums
    WHERE app_id IS NOT NULL AND NOT is_batch_envelope
    GROUP BY ALL
),

counted AS (
    SELECT r.*, 'requests' AS read_from
    FROM requests AS r
    SEMI JOIN (SELECT day FROM api_day_sources WHERE read_from = 'requests') AS d ON d.day = r.day
    UNION ALL BY NAME
    SELECT s.*, 'sums' AS read_from
    FROM sums AS s
    SEMI JOIN (SELECT day FROM api_day_sources WHERE read_from = 'sums') AS d ON d.day = s.day
),

families AS (
    SELECT endpoint, endpoint_family(endpoint) AS endpoint_family
    FROM (SELECT DISTINCT endpoint FROM counted WHERE endpoint IS NOT NULL)
)

SELECT c.*, f.endpoint_family
FROM counted AS c
LEFT JOIN families AS f ON f.endpoint = c.endpoint
ORDER BY c.app_id, c.day, c.endpoint, c.method, c.status, c.is_app_only
