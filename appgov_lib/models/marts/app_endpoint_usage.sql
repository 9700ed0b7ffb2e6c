-- grain: app x endpoint family x method x HTTP status, called in the period or the one before
-- source: api_calls_daily
-- The period is $days days and ends with $as_of; the previous period is as long and ends the day before.
WITH bounds AS (
    SELECT
        CAST($as_of AS DATE) - CAST($days AS INTEGER) + 1 AS first_day,
        CAST($as_of AS DATE) - 2 * CAST($days AS INTEGER) + 1 AS previous_first_day
)

SELECT
    c.app_id,
    c.endpoint_family,
    c.method,
    c.status,
    max(c.access) AS access,
    max(c.service) AS service,
    CAST(coalesce(sum(c.calls) FILTER (c.day >= b.first_day), 0) AS BIGINT) AS calls,
    CAST(coalesce(sum(c.calls) FILTER (c.day < b.first_day), 0) AS BIGINT) AS calls_previous,
    -- NULL when no call of the period had a size
    CAST(sum(c.bytes_returned) FILTER (c.day >= b.first_day) AS BIGINT) AS bytes_returned,
    count(DISTINCT c.day) FILTER (c.day >= b.first_day) AS days_called
FROM api_calls_daily AS c
CROSS JOIN bounds AS b
WHERE c.day BETWEEN b.previous_first_day AND CAST($as_of AS DATE)
GROUP BY c.app_id, c.endpoint_family, c.method, c.status
ORDER BY c.app_id, c.endpoint_family, c.method, c.status
