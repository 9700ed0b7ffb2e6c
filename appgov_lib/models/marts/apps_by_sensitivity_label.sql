-- grain: sensitivity label that apps touched in the 30 days to the as-of date
-- source: stg_cloud_app_events, category_marks
SELECT
    e.sensitivity_label_id,
    count(DISTINCT e.app_id) AS apps,
    count(*) AS events,
    list_sort(list(DISTINCT e.application)) AS services,
    max(e.occurred_at) AS last_at
FROM stg_cloud_app_events AS e
SEMI JOIN (FROM category_marks WHERE category = 'all') AS t ON t.app_id = e.app_id
WHERE e.sensitivity_label_id IS NOT NULL
    AND e.occurred_at >= CAST($as_of AS DATE) - 29
    AND e.occurred_at < CAST($as_of AS DATE) + 1
GROUP BY e.sensitivity_label_id
ORDER BY apps DESC, e.sensitivity_label_id
