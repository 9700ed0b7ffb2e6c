-- grain: app x method x endpoint x kind of call, over the 30 days that end with $as_of
-- source: api_calls_daily, called_endpoints
-- Where the log does not tell whether a user was there, the call counts for both kinds, and is_sure is false.
WITH calls AS (
    SELECT
        app_id,
        method,
        endpoint,
        is_app_only,
        any_value(resource_type) AS resource_type,
        any_value(access) AS access,
        sum(calls) AS calls,
        coalesce(sum(calls) FILTER (api_served(status)), 0) AS served_calls,
        max(last_called_at) FILTER (api_served(status)) AS last_served_at
    FROM api_calls_daily
    WHERE day BETWEEN CAST($as_of AS DATE) - 29 AND CAST($as_of AS DATE)
    GROUP BY ALL
),

by_kind AS (
    SELECT
        c.app_id,
        c.method,
        c.endpoint,
        k.permission_type,
        bool_and(c.is_app_only IS NOT NULL) AS is_sure,
        any_value(c.resource_type) AS resource_type,
        any_value(c.access) AS access,
        CAST(sum(c.calls) AS BIGINT) AS calls,
        CAST(sum(c.served_calls) AS BIGINT) AS served_calls,
        max(c.last_served_at) AS last_served_at
    FROM calls AS c
    INNER JOIN (
        SELECT 'application' AS permission_type, true AS is_app_only
        UNION ALL
        SELECT 'delegated' AS permission_type, false AS is_app_only
    ) AS k ON coalesce(c.is_app_only, k.is_app_only) = k.is_app_only
    GROUP BY ALL
)

SELECT
    b.*,
    e.set_id,
    -- a call of unknown kind is known as long as either kind has a rule for it
    e.set_id IS NULL AND NOT (NOT b.is_sure AND other.set_id IS NOT NULL) AS is_unmatched
FROM by_kind AS b
LEFT JOIN called_endpoints AS e
    ON e.method = b.method AND e.endpoint = b.endpoint AND e.permission_type = b.permission_type
LEFT JOIN called_endpoints AS other
    ON other.method = b.method AND other.endpoint = b.endpoint AND other.permission_type <> b.permission_type
