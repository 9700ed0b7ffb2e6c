-- grain: app x service x resource type
-- source: api_calls_daily, covered_days, findings; apps with an open finding, the 30 days to $as_of and the 30 before
WITH cover AS (
    SELECT
        count(*) FILTER (day > CAST($as_of AS DATE) - 30) AS days_now,
        count(*) FILTER (day <= CAST($as_of AS DATE) - 30) AS days_before
    FROM covered_days
    WHERE source = 'api_activity'
        AND is_complete
        AND day BETWEEN CAST($as_of AS DATE) - 59 AND CAST($as_of AS DATE)
),

sums AS (
    SELECT
        a.app_id,
        a.service,
        a.resource_type,
        coalesce(sum(a.calls) FILTER (a.is_now), 0) AS calls,
        sum(a.bytes_returned) FILTER (a.is_now) AS bytes_returned,
        coalesce(sum(a.bytes_unknown_calls) FILTER (a.is_now), 0) AS bytes_unknown_calls,
        coalesce(sum(a.calls) FILTER (NOT a.is_now), 0) AS calls_before,
        sum(a.bytes_returned) FILTER (NOT a.is_now) AS bytes_before
    FROM (
        SELECT *, day > CAST($as_of AS DATE) - 30 AS is_now
        FROM api_calls_daily
        WHERE day BETWEEN CAST($as_of AS DATE) - 59 AND CAST($as_of AS DATE)
    ) AS a
    SEMI JOIN (FROM findings WHERE state NOT IN ('resolved', 'excepted')) AS f ON f.app_id = a.app_id
    GROUP BY ALL
)

SELECT
    s.app_id,
    s.service,
    s.resource_type,
    CAST(s.calls AS BIGINT) AS calls,
    -- no call moved nothing, if all days were looked at; calls without a size moved an unknown amount
    CAST(CASE WHEN s.calls > 0 THEN s.bytes_returned WHEN c.days_now = 30 THEN 0 END AS BIGINT) AS bytes_returned,
    CAST(s.bytes_unknown_calls AS BIGINT) AS bytes_unknown_calls,
    CAST(CASE WHEN c.days_before = 30 THEN s.calls_before END AS BIGINT) AS calls_previous,
    CAST(
        CASE WHEN c.days_before < 30 THEN NULL WHEN s.calls_before > 0 THEN s.bytes_before ELSE 0 END AS BIGINT
    ) AS bytes_previous,
    c.days_now,
    c.days_before
FROM sums AS s
CROSS JOIN cover AS c
ORDER BY s.app_id, bytes_returned DESC NULLS LAST, s.calls DESC, s.service, s.resource_type
