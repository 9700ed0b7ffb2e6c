-- grain: app that was refused at many kinds of endpoints on one day, as never before
-- source: api_calls_daily, app_inventory
WITH daily AS (
    SELECT
        app_id,
        CAST(day AS DATE) AS day,
        sum(calls) AS calls,
        sum(calls) FILTER (status IN (401, 403)) AS refused,
        count(DISTINCT endpoint_family) FILTER (status IN (401, 403)) AS families,
        list_sort(list(DISTINCT endpoint_family) FILTER (status IN (401, 403) AND endpoint_family IS NOT NULL)) AS tried
    FROM api_calls_daily
    WHERE
        app_id IS NOT NULL
        AND day BETWEEN CAST($as_of AS DATE) - $days - CAST($history_days AS INTEGER) + 1 AND CAST($as_of AS DATE)
    GROUP BY app_id, CAST(day AS DATE)
),

judged AS (
    SELECT
        *,
        refused >= $min_refused AND families >= $min_families AND refused >= $min_share * calls AS is_probing
    FROM daily
),

compared AS (
    SELECT
        app_id,
        min(day) AS known_since,
        max(families) FILTER (is_probing AND day > CAST($as_of AS DATE) - $days) AS families,
        arg_max({'day': day, 'refused': refused, 'calls': calls, 'tried': tried}, (families, day))
            FILTER (is_probing AND day > CAST($as_of AS DATE) - $days) AS worst,
        count(*) FILTER (is_probing AND day <= CAST($as_of AS DATE) - $days) AS days_before
    FROM judged
    GROUP BY app_id
)

SELECT
    app.service_principal_id,
    app.app_id,
    app.display_name AS app_display_name,
    '' AS subject,
    CAST(compared.families AS DOUBLE) AS measure,
    CAST($min_families AS DOUBLE) AS threshold,
    concat(
        'On ', strftime(compared.worst.day, '%Y-%m-%d'), ' ', compared.worst.refused, ' of ', compared.worst.calls,
        ' calls of the app were refused for want of permission, at ', compared.families, ' kinds of endpoints (',
        array_to_string(compared.worst.tried[1:4], ', '), '); it had not tried so in the ', $history_days,
        ' days before (known since ', strftime(compared.known_since, '%Y-%m-%d'), ').'
    ) AS reason,
    json_object(
        'day', compared.worst.day, 'refused', compared.worst.refused, 'calls', compared.worst.calls,
        'tried', compared.worst.tried, 'known_since', compared.known_since, 'app_origin', app.app_origin,
        'publisher_verified', app.publisher_verified, 'privilege_level', app.privilege_level
    ) AS evidence
FROM compared
INNER JOIN app_inventory AS app
    ON compared.app_id = app.app_id
WHERE
    app.is_in_scope
    AND compared.families IS NOT NULL
    AND compared.days_before = 0
ORDER BY app.service_principal_id
