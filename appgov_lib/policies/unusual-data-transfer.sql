-- grain: app that received more data than its own history explains
-- source: anomalies, app_inventory
WITH raised AS (
    SELECT
        app_id,
        count(*) AS days,
        min(day) AS first_day,
        max(day) AS last_day,
        sum(observed) AS observed_bytes,
        sum(expected) AS expected_bytes,
        min(p_value) AS smallest_p,
        min(history_days) AS history_days,
        list(
            {
                'day': day,
                'observed': observed,
                'expected': round(expected),
                'upper': round(upper),
                'p_value': p_value
            } ORDER BY day
        ) AS flagged_days
    FROM anomalies
    -- A day flagged with its whole week may lie inside the range of a single day, hence expected and not upper.
    WHERE
        metric = 'bytes_returned'
        AND is_anomaly
        AND observed > expected
        AND CAST(day AS DATE) BETWEEN CAST($as_of AS DATE) - 6 AND CAST($as_of AS DATE)
    GROUP BY app_id
)

SELECT
    app.service_principal_id,
    app.app_id,
    app.display_name AS app_display_name,
    '' AS subject,
    raised.observed_bytes AS measure,
    raised.expected_bytes AS threshold,
    concat(
        'Received ', formatReadableDecimalSize(CAST(raised.observed_bytes AS BIGINT)), ' on ', raised.days,
        CASE WHEN raised.days = 1 THEN ' day' ELSE ' days' END,
        ' between ', strftime(raised.first_day, '%Y-%m-%d'), ' and ', strftime(raised.last_day, '%Y-%m-%d'),
        ' where ', formatReadableDecimalSize(CAST(raised.expected_bytes AS BIGINT)), ' was expected from ',
        raised.history_days, ' earlier days',
        CASE
            WHEN raised.expected_bytes >= 1
                THEN concat(', ', format('{:.1f}', raised.observed_bytes / raised.expected_bytes), ' times as much.')
            ELSE '.'
        END
    ) AS reason,
    json_object(
        'days', raised.flagged_days,
        'observed_bytes', raised.observed_bytes,
        'expected_bytes', round(raised.expected_bytes),
        'smallest_p', raised.smallest_p,
        'services', app.services,
        'publisher_verified', app.publisher_verified,
        'app_origin', app.app_origin
    ) AS evidence
FROM raised
INNER JOIN app_inventory AS app
    ON raised.app_id = app.app_id
WHERE
    app.is_first_party IS NOT TRUE
    AND app.service_principal_type IS DISTINCT FROM 'ManagedIdentity'
    AND raised.days >= $min_days
ORDER BY app.service_principal_id
