-- grain: app that used to be busy and did nothing on several days
-- source: anomalies, app_inventory
WITH days AS (
    SELECT
        app_id,
        day,
        sum(observed) AS observed,
        sum(expected) FILTER (is_anomaly) AS expected,
        bool_or(is_anomaly) AS is_anomaly,
        list(metric ORDER BY metric) FILTER (is_anomaly) AS metrics
    FROM anomalies
    -- Sign-ins and calls together: an app that only stopped signing in may still work with the token it has.
    WHERE
        metric IN ('sign_ins', 'api_calls')
        AND CAST(day AS DATE) BETWEEN CAST($as_of AS DATE) - 6 AND CAST($as_of AS DATE)
    GROUP BY app_id, day
),

silent AS (
    SELECT
        app_id,
        count(*) AS silent_days,
        min(day) AS first_day,
        max(day) AS last_day,
        sum(expected) AS expected,
        list({'day': day, 'expected': round(expected, 1), 'metrics': metrics} ORDER BY day) AS silent_list
    FROM days
    WHERE
        is_anomaly
        AND observed = 0
        AND expected > 0
    GROUP BY app_id
)

SELECT
    app.service_principal_id,
    app.app_id,
    app.display_name AS app_display_name,
    '' AS subject,
    CAST(silent.silent_days AS DOUBLE) AS measure,
    CAST($min_silent_days AS DOUBLE) AS threshold,
    concat(
        'No sign-in and no API call was seen on ', silent.silent_days, ' days between ',
        strftime(silent.first_day, '%Y-%m-%d'), ' and ', strftime(silent.last_day, '%Y-%m-%d'),
        ', on which about ', format('{:,.0f}', silent.expected), ' sign-ins and calls were expected from its earlier weeks.'
    ) AS reason,
    json_object(
        'days', silent.silent_list,
        'last_used_at', app.last_used_at,
        'next_expiry_at', app.next_expiry_at
    ) AS evidence
FROM silent
INNER JOIN app_inventory AS app
    ON silent.app_id = app.app_id
WHERE
    app.is_first_party IS NOT TRUE
    AND app.service_principal_type IS DISTINCT FROM 'ManagedIdentity'
    -- A disabled app is silent by decision.
    AND app.status = 'enabled'
    AND silent.silent_days >= $min_silent_days
ORDER BY app.service_principal_id
