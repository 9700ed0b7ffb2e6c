-- grain: app x service it called far more than ever before
-- source: api_calls_daily, app_inventory
WITH daily AS (
    SELECT app_id, CAST(day AS DATE) AS day, service AS subject, sum(calls) AS calls
    FROM api_calls_daily
    WHERE
        service IN ('Exchange', 'OneDrive', 'SharePoint', 'Teams')
        AND CAST(day AS DATE) BETWEEN CAST($as_of AS DATE) - $days - CAST($history_days AS INTEGER) + 1
            AND CAST($as_of AS DATE)
    GROUP BY app_id, CAST(day AS DATE), subject
),

compared AS (
    SELECT
        app_id,
        subject,
        max(calls) FILTER (day > CAST($as_of AS DATE) - $days) AS most,
        arg_max(day, calls) FILTER (day > CAST($as_of AS DATE) - $days) AS most_on,
        coalesce(max(calls) FILTER (day <= CAST($as_of AS DATE) - $days), 0) AS most_before,
        count(*) FILTER (day <= CAST($as_of AS DATE) - $days) AS days_before
    FROM daily
    GROUP BY app_id, subject
    HAVING most >= greatest($min_calls, $times * most_before)
),

-- How long the log has known the app: an app without a past has nothing to compare with.
first_seen AS (
    SELECT app_id, min(CAST(day AS DATE)) AS first_day
    FROM api_calls_daily
    WHERE app_id IN (SELECT app_id FROM compared)
    GROUP BY app_id
)

SELECT
    app.service_principal_id,
    app.app_id,
    app.display_name AS app_display_name,
    compared.subject,
    CAST(compared.most AS DOUBLE) AS measure,
    CAST(greatest($min_calls, $times * compared.most_before) AS DOUBLE) AS threshold,
    concat(
        'On ', strftime(compared.most_on, '%Y-%m-%d'), ' the app made ', compared.most, ' calls to ', compared.subject,
        CASE
            WHEN compared.most_before = 0 THEN '; on no day before had it made one'
            ELSE concat('; on its busiest day before it made ', compared.most_before)
        END,
        ' (known since ', strftime(first_seen.first_day, '%Y-%m-%d'), ').'
    ) AS reason,
    json_object(
        'most', compared.most, 'most_on', compared.most_on, 'most_before', compared.most_before,
        'days_before', compared.days_before, 'first_day', first_seen.first_day,
        'publisher_verified', app.publisher_verified, 'privilege_level', app.privilege_level
    ) AS evidence
FROM compared
INNER JOIN first_seen
    ON compared.app_id = first_seen.app_id
INNER JOIN app_inventory AS app
    ON compared.app_id = app.app_id
WHERE
    app.is_in_scope
    AND first_seen.first_day <= CAST($as_of AS DATE) - $days - CAST($min_history_days AS INTEGER)
ORDER BY app.service_principal_id, compared.subject
