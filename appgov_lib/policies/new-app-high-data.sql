-- grain: app new in the tenant that took much data in one day
-- source: api_calls_daily, app_inventory
WITH days AS (
    SELECT
        app.service_principal_id,
        calls.day,
        sum(calls.bytes_returned) AS bytes,
        sum(calls.bytes_unknown_calls) AS unsized_calls
    FROM api_calls_daily AS calls
    INNER JOIN app_inventory AS app
        ON calls.app_id = app.app_id
    WHERE
        app.is_in_scope
        AND coalesce(added_on, created_at) >= CAST($as_of AS DATE) + 1 - CAST($days_new AS INTEGER)
        AND CAST(calls.day AS DATE) <= CAST($as_of AS DATE)
    GROUP BY app.service_principal_id, calls.day
),

most AS (
    SELECT
        service_principal_id,
        max(bytes) AS bytes,
        arg_max(day, bytes) AS day,
        sum(bytes) AS total_bytes,
        sum(unsized_calls) AS unsized_calls
    FROM days
    GROUP BY service_principal_id
    HAVING max(bytes) > $max_gigabytes * 1e9
)

SELECT
    app.service_principal_id,
    app.app_id,
    app.display_name AS app_display_name,
    '' AS subject,
    CAST(most.bytes AS DOUBLE) AS measure,
    $max_gigabytes * 1e9 AS threshold,
    concat(
        'Came into the tenant on ', strftime(coalesce(app.added_on, app.created_at), '%Y-%m-%d'), ' and received ',
        formatReadableDecimalSize(CAST(most.bytes AS BIGINT)), ' on ', strftime(most.day, '%Y-%m-%d'), ' (threshold ',
        formatReadableDecimalSize(CAST($max_gigabytes * 1e9 AS BIGINT)), ' a day).'
    ) AS reason,
    json_object(
        'total_bytes', most.total_bytes, 'unsized_calls', most.unsized_calls, 'services', app.services,
        'app_origin', app.app_origin, 'publisher_verified', app.publisher_verified
    ) AS evidence
FROM most
INNER JOIN app_inventory AS app
    ON most.service_principal_id = app.service_principal_id
ORDER BY app.service_principal_id
