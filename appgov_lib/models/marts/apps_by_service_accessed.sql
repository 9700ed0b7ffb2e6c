-- grain: service of Microsoft 365
-- source: app_activity_daily, category_marks, covered_days
-- 30 days to the as-of date. An app accessed a service when a call of it was answered without an error.
WITH window_cover AS (
    SELECT count(DISTINCT day) AS days_seen, count(DISTINCT day) FILTER (is_complete) AS days_covered
    FROM covered_days
    WHERE source = 'api_activity' AND day BETWEEN CAST($as_of AS DATE) - 29 AND CAST($as_of AS DATE)
),

apps AS (
    SELECT DISTINCT app_id FROM category_marks WHERE category = 'all' AND app_id IS NOT NULL
),

accessed AS (
    SELECT a.service, a.app_id
    FROM app_activity_daily AS a
    SEMI JOIN apps AS t ON t.app_id = a.app_id
    WHERE a.day BETWEEN CAST($as_of AS DATE) - 29 AND CAST($as_of AS DATE)
    GROUP BY ALL
    HAVING sum(a.calls - a.errors - a.throttled) > 0
),

counts AS (
    SELECT service, count(*) AS apps
    FROM accessed
    GROUP BY service
)

SELECT
    v.service,
    CASE WHEN w.days_seen > 0 THEN coalesce(c.apps, 0) END AS apps,
    (SELECT count(*) FROM apps) AS apps_total,
    w.days_covered,
    concat(
        CASE
            WHEN w.days_seen = 0 THEN 'No day of the 30 was read. '
            WHEN w.days_covered < 30 THEN w.days_covered || ' of 30 days were read. '
            ELSE ''
        END,
        'Calls to Graph only.'
    ) AS reason
FROM (VALUES ('Exchange'), ('OneDrive'), ('SharePoint'), ('Teams')) AS v (service)
CROSS JOIN window_cover AS w
LEFT JOIN counts AS c ON c.service = v.service
ORDER BY v.service
