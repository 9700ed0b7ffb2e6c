-- grain: app x dimension x value (network, address block, country, user agent, endpoint family, resource, credential)
-- source: first_seen_values, covered_days, kept_until
-- New is said of a value first shown in the period by an app that was seen at least 14 days before the period, in a log
-- that covers 14 days before it, and only where the app showed at most 20 values before: of an app that roams, or in a
-- log that begins, everything is new. The look-back is 90 days.
WITH bounds AS (
    SELECT CAST($as_of AS DATE) - CAST($days AS INTEGER) + 1 AS first_day
),

shown AS (
    SELECT
        v.app_id,
        v.family,
        v.dimension,
        v.value,
        min(v.day) AS first_seen,
        min(v.first_at) AS first_seen_at,
        max(v.day) AS last_seen,
        count(*) AS days_seen,
        CAST(sum(v.events) AS BIGINT) AS events,
        CAST(coalesce(sum(v.events) FILTER (v.day >= b.first_day), 0) AS BIGINT) AS events_now
    FROM first_seen_values AS v
    CROSS JOIN bounds AS b
    WHERE v.day >= b.first_day - 90
    GROUP BY ALL
),

apps AS (
    SELECT
        s.app_id,
        s.family,
        s.dimension,
        count(*) FILTER (s.first_seen < b.first_day) AS values_before,
        min(s.first_seen) AS app_first_day
    FROM shown AS s
    CROSS JOIN bounds AS b
    GROUP BY ALL
),

look_back AS (
    SELECT
        CASE WHEN c.source LIKE 'sign_ins%' THEN 'sign_ins' ELSE c.source END AS family,
        count(DISTINCT c.day) AS days
    FROM covered_days AS c
    CROSS JOIN bounds AS b
    -- of pruned days no single row is left to look back at
    LEFT JOIN kept_until AS k ON k.family = CASE WHEN c.source LIKE 'sign_ins%' THEN 'sign_ins' ELSE c.source END
    WHERE (c.source LIKE 'sign_ins%' OR c.source = 'api_activity')
        AND c.day >= greatest(b.first_day - 90, coalesce(k.raw_from, b.first_day - 90)) AND c.day < b.first_day
    GROUP BY ALL
)

SELECT
    s.app_id,
    s.family,
    s.dimension,
    s.value,
    s.first_seen,
    s.first_seen_at,
    s.last_seen,
    s.days_seen,
    s.events,
    s.events_now,
    a.values_before,
    coalesce(l.days, 0) AS look_back_days,
    CASE
        WHEN s.first_seen < b.first_day THEN 'known'
        WHEN coalesce(l.days, 0) < 14 THEN 'unknown'
        WHEN a.app_first_day > b.first_day - 14 THEN 'unknown'
        WHEN a.values_before > 20 THEN 'unknown'
        ELSE 'new'
    END AS novelty,
    CASE
        WHEN s.first_seen < b.first_day THEN NULL
        WHEN coalesce(l.days, 0) < 14
            THEN concat('the log covers ', coalesce(l.days, 0), ' days before the period, 14 are needed')
        WHEN a.app_first_day > b.first_day - 14 THEN 'the app itself is young: everything it shows is new'
        WHEN a.values_before > 20 THEN concat('the app showed ', a.values_before, ' values before: it roams')
    END AS reason
FROM shown AS s
CROSS JOIN bounds AS b
INNER JOIN apps AS a ON a.app_id = s.app_id AND a.family = s.family AND a.dimension = s.dimension
LEFT JOIN look_back AS l ON l.family = s.family
ORDER BY s.app_id, s.family, s.dimension, s.value
