-- grain: measure of use over a window of days
-- source: data_usage_monthly, data_usage_by_resource_type, app_activity_daily, app_resource_daily, stg_cloud_app_events,
--         category_marks, covered_days, app_inventory
-- Windows: 30 days against the 30 before; the month so far against the same days of the month before.
WITH windows AS (
    SELECT 'api_activity' AS source, 'days' AS kind, CAST($as_of AS DATE) - 29 AS first_day,
        CAST($as_of AS DATE) AS last_day, CAST($as_of AS DATE) - 59 AS previous_first,
        CAST($as_of AS DATE) - 30 AS previous_last
    UNION ALL
    SELECT 'cloud_app_events', 'days', CAST($as_of AS DATE) - 29, CAST($as_of AS DATE), CAST($as_of AS DATE) - 59,
        CAST($as_of AS DATE) - 30
    UNION ALL
    SELECT 'api_activity', 'month', CAST(date_trunc('month', CAST($as_of AS DATE)) AS DATE), CAST($as_of AS DATE),
        CAST(date_trunc('month', CAST($as_of AS DATE)) - INTERVAL 1 MONTH AS DATE),
        CAST(CAST($as_of AS DATE) - INTERVAL 1 MONTH AS DATE)
),

cover AS (
    SELECT
        w.*,
        count(DISTINCT c.day) FILTER (c.day BETWEEN w.first_day AND w.last_day) AS days_seen,
        count(DISTINCT c.day) FILTER (c.day BETWEEN w.first_day AND w.last_day AND c.is_complete) AS days_covered,
        count(DISTINCT c.day) FILTER (c.day BETWEEN w.previous_first AND w.previous_last AND c.is_complete)
            AS previous_covered
    FROM windows AS w
    LEFT JOIN covered_days AS c ON c.source = w.source
    GROUP BY ALL
),

apps AS (
    SELECT DISTINCT app_id FROM category_marks WHERE category = 'all' AND app_id IS NOT NULL
),

left_out AS (
    SELECT DISTINCT app_id
    FROM app_inventory
    WHERE is_first_party OR service_principal_type = 'ManagedIdentity'
),

events AS (
    SELECT 'apps_accessed' AS measure, 'api_activity' AS source, 'days' AS kind, day, app_id, 0 AS bytes,
        0 AS sizeless
    FROM app_activity_daily SEMI JOIN apps USING (app_id)
    WHERE service IN ('Exchange', 'OneDrive', 'SharePoint', 'Teams') AND calls > errors + throttled
    UNION ALL
    SELECT 'apps_labelled', 'cloud_app_events', 'days', CAST(occurred_at AS DATE), app_id, 0, 0
    FROM stg_cloud_app_events SEMI JOIN apps USING (app_id)
    WHERE sensitivity_label_id IS NOT NULL
    UNION ALL
    SELECT 'bytes', 'api_activity', 'month', day, app_id, bytes_returned, bytes_unknown_calls
    FROM app_activity_daily ANTI JOIN left_out USING (app_id)
    WHERE service IN ('Exchange', 'OneDrive', 'SharePoint', 'Teams')
    UNION ALL
    SELECT 'bytes_' || resource_type, 'api_activity', 'month', day, app_id, bytes_returned, bytes_unknown_calls
    FROM app_resource_daily ANTI JOIN left_out USING (app_id)
    WHERE resource_type IN ('files', 'messages', 'chats')
),

measures AS (
    SELECT * FROM (VALUES
        ('apps_accessed', 'api_activity', 'days'), ('apps_labelled', 'cloud_app_events', 'days'),
        ('bytes', 'api_activity', 'month'), ('bytes_files', 'api_activity', 'month'),
        ('bytes_messages', 'api_activity', 'month'), ('bytes_chats', 'api_activity', 'month')
    ) AS t (measure, source, kind)
),

windowed AS (
    SELECT m.measure, c.* EXCLUDE (source, previous_covered),
        c.previous_covered > c.previous_last - c.previous_first AS previous_is_covered
    FROM measures AS m
    INNER JOIN cover AS c ON c.source = m.source AND c.kind = m.kind
),

-- summed by app first: distinct apps are then rows
by_app AS (
    SELECT e.measure, e.app_id, e.day >= w.first_day AS is_now, sum(e.bytes) AS bytes, sum(e.sizeless) AS sizeless
    FROM events AS e
    INNER JOIN windowed AS w ON w.measure = e.measure
    WHERE e.day BETWEEN w.first_day AND w.last_day OR e.day BETWEEN w.previous_first AND w.previous_last
    GROUP BY ALL
),

sums AS (
    SELECT w.*,
        count(a.app_id) FILTER (a.is_now) AS apps,
        count(a.app_id) FILTER (NOT a.is_now) AS apps_before,
        -- NULL where calls were made but none had a size
        CASE WHEN count(a.app_id) FILTER (a.is_now) = 0 THEN 0 ELSE sum(a.bytes) FILTER (a.is_now) END AS bytes,
        CASE WHEN count(a.app_id) FILTER (NOT a.is_now) = 0 THEN 0 ELSE sum(a.bytes) FILTER (NOT a.is_now) END
            AS bytes_before,
        sum(a.sizeless) FILTER (a.is_now) AS sizeless,
        any_value(l.labels) AS labels
    FROM windowed AS w
    CROSS JOIN (SELECT count(sensitivity_label_id) AS labels FROM stg_cloud_app_events) AS l
    LEFT JOIN by_app AS a ON a.measure = w.measure
    GROUP BY ALL
)

SELECT
    measure,
    -- without one label in all the data nobody knows whether labels are logged at all
    CAST(CASE WHEN days_seen = 0 OR (measure = 'apps_labelled' AND labels = 0) THEN NULL
        WHEN kind = 'days' THEN apps ELSE bytes END AS DOUBLE) AS value,
    CAST(last_day - first_day + 1 - days_covered AS DOUBLE) AS not_known,
    CAST(CASE WHEN NOT previous_is_covered OR (measure = 'apps_labelled' AND labels = 0) THEN NULL
        WHEN kind = 'days' THEN apps_before ELSE bytes_before END AS DOUBLE) AS previous_value,
    CASE WHEN NOT previous_is_covered THEN concat('The days ', previous_first, ' to ', previous_last,
        ' were not all read.') END AS previous_reason,
    first_day AS period_from,
    last_day AS period_to,
    concat_ws(' ',
        CASE WHEN measure = 'apps_labelled' AND labels = 0 THEN 'No record of the log carries a label.' END,
        CASE WHEN days_covered <= last_day - first_day
            THEN concat(days_covered, ' of ', last_day - first_day + 1, ' days were read.') END,
        CASE WHEN sizeless > 0 THEN sizeless || ' calls have no size.' END,
        CASE WHEN kind = 'month' THEN 'Bytes that Graph sent, against the same days of the month before; uploads and '
            || 'Exchange Web Services are not in the log.' END
    ) AS note
FROM sums
ORDER BY measure
