-- grain: app x metric x day
-- source: sign_ins_daily, app_activity_daily, off_hours_daily, covered_days
-- A day without events is 0 from the app's first day on, if the sources that could have shown it cover that day.
-- A day nobody looked at is absent: missing is not zero.
WITH app_sources AS (
    SELECT DISTINCT
        app_id,
        'sign_ins' AS family,
        -- a type we cannot name has no source that could vouch for its days
        'sign_ins_' || sign_in_type AS source
    FROM sign_ins_daily
    WHERE sign_in_type <> 'unknown'
    UNION ALL
    SELECT DISTINCT
        app_id,
        'api_activity' AS family,
        'api_activity' AS source
    FROM app_activity_daily
),

source_counts AS (
    SELECT app_id, family, count(*) AS sources
    FROM app_sources
    GROUP BY app_id, family
),

first_days AS (
    SELECT app_id, 'sign_ins' AS family, min(day) AS first_day FROM sign_ins_daily GROUP BY app_id
    UNION ALL
    SELECT app_id, 'api_activity' AS family, min(day) AS first_day FROM app_activity_daily GROUP BY app_id
),

source_days AS (
    SELECT
        a.app_id,
        a.family,
        n.sources,
        c.day
    FROM app_sources AS a
    INNER JOIN source_counts AS n ON n.app_id = a.app_id AND n.family = a.family
    INNER JOIN first_days AS f ON f.app_id = a.app_id AND f.family = a.family
    INNER JOIN covered_days AS c
        ON c.source = a.source
        AND c.day >= f.first_day
        AND c.day <= CAST($as_of AS DATE)
),

-- every source the app uses must cover the day; most apps use one, whose days need no counting
seen_days AS (
    SELECT app_id, family, day FROM source_days WHERE sources = 1
    UNION ALL
    SELECT app_id, family, day
    FROM source_days
    WHERE sources > 1
    GROUP BY app_id, family, day
    HAVING count(*) = min(sources)
),

sign_ins AS (
    SELECT app_id, day, sum(sign_ins) AS sign_ins, sum(failures) AS failures
    FROM sign_ins_daily
    GROUP BY app_id, day
),

calls AS (
    SELECT app_id, day, sum(calls) AS calls, sum(bytes_returned) AS bytes_returned
    FROM app_activity_daily
    GROUP BY app_id, day
),

-- Joined once for the two metrics each gives.
sign_in_days AS (
    SELECT d.app_id, d.day, coalesce(s.sign_ins, 0) AS sign_ins, coalesce(s.failures, 0) AS failures
    FROM seen_days AS d
    LEFT JOIN sign_ins AS s ON s.app_id = d.app_id AND s.day = d.day
    WHERE d.family = 'sign_ins'
),

call_days AS (
    SELECT
        d.app_id,
        d.day,
        coalesce(c.calls, 0) AS calls,
        -- calls whose size is not known leave the day out; no call at all is 0 bytes
        CASE WHEN c.app_id IS NULL THEN 0 ELSE c.bytes_returned END AS bytes_returned
    FROM seen_days AS d
    LEFT JOIN calls AS c ON c.app_id = d.app_id AND c.day = d.day
    WHERE d.family = 'api_activity'
),

metrics AS (
    SELECT app_id, 'sign_ins' AS metric, day, sign_ins AS value FROM sign_in_days
    UNION ALL
    SELECT app_id, 'failures' AS metric, day, failures AS value FROM sign_in_days
    UNION ALL
    SELECT app_id, 'api_calls' AS metric, day, calls AS value FROM call_days
    UNION ALL
    SELECT app_id, 'bytes_returned' AS metric, day, bytes_returned AS value FROM call_days
    UNION ALL
    -- outside the app's usual hours: eight weeks of it, and only of apps that have usual hours
    SELECT d.app_id, 'off_hours_sign_ins' AS metric, d.day, coalesce(o.sign_ins, 0) AS value
    FROM seen_days AS d
    INNER JOIN (SELECT app_id, min(day) AS first_day FROM off_hours_daily GROUP BY app_id) AS e
        ON e.app_id = d.app_id AND d.day >= e.first_day
    LEFT JOIN off_hours_daily AS o ON o.app_id = d.app_id AND o.day = d.day
    WHERE d.family = 'sign_ins'
)

SELECT
    app_id,
    metric,
    day,
    CAST(value AS DOUBLE) AS value
FROM metrics
WHERE value IS NOT NULL
ORDER BY app_id, metric, day
