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

-- How long the log has known the app: an app without a past has nothing to compare with.
first_seen AS (
    SELECT app_id, min(CAST(day AS DATE)) AS day
    FROM api_calls_daily
    WHERE app_id IN (SELECT app_id FROM daily)
    GROUP BY app_id
),

compared AS (
    SELECT
        daily.app_id,
        daily.subject,
        max(calls) FILTER (daily.day > CAST($as_of AS DATE) - $days) AS most,
        arg_max(daily.day, calls) FILTER (daily.day > CAST($as_of AS DATE) - $days) AS most_on,
        coalesce(max(calls) FILTER (daily.day <= CAST($as_of AS DATE) - $days), 0) AS most_before,
        count(*) FILTER (daily.day <= CAST($as_of AS DATE) - $days) AS days_before,
        min(first_seen.day) AS first_day
    FROM daily
    INNER JOIN first_seen ON daily.app_id = first_seen.app_id
    GROUP BY daily.app_id, daily.subject
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
        ' (known since ', strftime(compared.first_day, '%Y-%m-%d'), ').'
    ) AS reason,
    json_object(
        'most', compared.most, 'most_on', compared.most_on, 'most_before', compared.most_before,
        'days_before', compared.days_before, 'first_day', compared.first_day,
        'publisher_verified', app.publisher_verified, 'privilege_level', app.privilege_level
    ) AS evidence
FROM compared
INNER JOIN app_inventory AS app
    ON compared.app_id = app.app_id
WHERE
    app.is_in_scope
    AND compared.first_day <= CAST($as_of AS DATE) - $days - CAST($min_history_days AS INTEGER)
    AND compared.most >= greatest($min_calls, $times * compared.most_before)
ORDER BY app.service_principal_id, compared.subject
