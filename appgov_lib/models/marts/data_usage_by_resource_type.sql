-- grain: month x resource type (the month of the as-of date and the three before)
-- source: app_resource_daily, app_inventory, covered_days
-- Microsoft's own apps and managed identities are left out.
WITH months AS (
    SELECT
        CAST(m AS DATE) AS month,
        least(CAST($as_of AS DATE), last_day(CAST(m AS DATE))) AS last_day
    FROM (
        SELECT unnest(generate_series(
            date_trunc('month', CAST($as_of AS DATE)) - INTERVAL 3 MONTHS,
            date_trunc('month', CAST($as_of AS DATE)),
            INTERVAL 1 MONTH
        )) AS m
    )
),

covered AS (
    SELECT
        m.month,
        m.last_day,
        count(DISTINCT c.day) AS days_seen,
        count(DISTINCT c.day) FILTER (c.is_complete) AS days_covered
    FROM months AS m
    LEFT JOIN covered_days AS c ON c.source = 'api_activity' AND c.day BETWEEN m.month AND m.last_day
    GROUP BY ALL
),

left_out AS (
    SELECT DISTINCT app_id
    FROM app_inventory
    WHERE is_first_party OR service_principal_type = 'ManagedIdentity'
),

sums AS (
    SELECT
        date_trunc('month', a.day) AS month,
        a.resource_type,
        CAST(sum(a.bytes_returned) AS BIGINT) AS bytes_returned,
        CAST(sum(a.calls) AS BIGINT) AS calls,
        CAST(sum(a.bytes_unknown_calls) AS BIGINT) AS bytes_unknown_calls
    FROM app_resource_daily AS a
    ANTI JOIN left_out AS l ON l.app_id = a.app_id
    WHERE a.day <= CAST($as_of AS DATE)
    GROUP BY ALL
)

SELECT
    c.month,
    v.resource_type,
    -- 0 only where the month was looked at
    CASE WHEN s.calls > 0 THEN s.bytes_returned WHEN c.days_seen > 0 THEN 0 END AS bytes_returned,
    coalesce(s.calls, CASE WHEN c.days_seen > 0 THEN 0 END) AS calls,
    date_diff('day', c.month, c.last_day) + 1 AS days,
    c.days_covered,
    coalesce(s.bytes_unknown_calls, CASE WHEN c.days_seen > 0 THEN 0 END) AS bytes_unknown_calls,
    concat(
        CASE
            WHEN c.days_seen = 0 THEN 'No day of this month was read. '
            WHEN c.days_covered <= date_diff('day', c.month, c.last_day)
                THEN concat(c.days_covered, ' of ', date_diff('day', c.month, c.last_day) + 1, ' days were read. ')
            ELSE ''
        END,
        CASE WHEN s.bytes_unknown_calls > 0 THEN s.bytes_unknown_calls || ' calls have no size. ' ELSE '' END,
        'Bytes that Graph sent; uploads and Exchange Web Services are not in the log.'
    ) AS reason
FROM covered AS c
CROSS JOIN (VALUES ('chats'), ('files'), ('messages')) AS v (resource_type)
LEFT JOIN sums AS s ON s.month = c.month AND s.resource_type = v.resource_type
ORDER BY c.month, v.resource_type
