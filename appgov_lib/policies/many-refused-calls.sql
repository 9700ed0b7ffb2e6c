-- grain: app most of whose calls in a short time were refused, at many places, for the first time
-- source: stg_api_activity, api_calls_daily, app_inventory
-- Refusals are few, so the minutes are found by them, and the calls are counted of those minutes only.
WITH refusals AS (
    SELECT
        app_id,
        time_bucket($minutes * INTERVAL 1 MINUTE, called_at) AS moment,
        count(*) AS refused,
        count(DISTINCT path) AS paths,
        list_sort(list(DISTINCT endpoint)) AS endpoints
    FROM stg_api_activity
    WHERE
        -- waiting is asked for by 429: that is no refusal
        status BETWEEN 400 AND 499 AND status <> 429 AND app_id IS NOT NULL AND NOT is_batch_envelope
        AND called_at >= CAST($as_of AS DATE) - $days - CAST($history_days AS INTEGER) + 1
        AND called_at < CAST($as_of AS DATE) + 1
    GROUP BY ALL
    HAVING
        count(*) >= $min_refused AND count(DISTINCT path) >= $min_paths
        AND count(DISTINCT endpoint) >= $min_endpoints
),

minutes AS (
    SELECT refusals.app_id, refusals.moment, 'minutes' AS unit, count(*) AS calls, refused, paths, endpoints
    FROM refusals
    INNER JOIN stg_api_activity AS call
        ON refusals.app_id = call.app_id
        AND call.called_at >= refusals.moment AND call.called_at < refusals.moment + $minutes * INTERVAL 1 MINUTE
    WHERE NOT call.is_batch_envelope
    GROUP BY ALL
),

-- where the service summed the calls up, the day is the shortest time there is, and no path is known
refused_days AS (
    SELECT app_id, day
    FROM api_calls_daily
    WHERE
        read_from = 'sums' AND status BETWEEN 400 AND 499 AND status <> 429 AND app_id IS NOT NULL
        AND day BETWEEN CAST($as_of AS DATE) - $days - CAST($history_days AS INTEGER) + 1 AND CAST($as_of AS DATE)
    GROUP BY app_id, day
    HAVING sum(calls) >= $min_refused_a_day
),

days AS (
    SELECT
        app_id,
        CAST(day AS TIMESTAMP) AS moment,
        'day' AS unit,
        sum(calls) AS calls,
        sum(calls) FILTER (status BETWEEN 400 AND 499 AND status <> 429) AS refused,
        NULL AS paths,
        list_sort(list(DISTINCT endpoint) FILTER (status BETWEEN 400 AND 499 AND status <> 429)) AS endpoints
    FROM api_calls_daily
    SEMI JOIN refused_days USING (app_id, day)
    WHERE read_from = 'sums' AND status IS NOT NULL
    GROUP BY app_id, day
),

bursts AS (
    SELECT * FROM minutes WHERE calls > $min_calls AND refused >= $min_share * calls
    UNION ALL
    SELECT * FROM days
    WHERE refused >= $min_refused_a_day AND refused >= $min_share * calls AND len(endpoints) >= $min_endpoints_a_day
),

compared AS (
    SELECT
        app_id,
        count(*) AS bursts,
        arg_max(
            {'moment': moment, 'unit': unit, 'calls': calls, 'refused': refused, 'paths': paths,
                'endpoints': endpoints},
            (refused, moment)
        ) AS most
    FROM bursts
    GROUP BY app_id
    -- an app that is refused week by week lacks a permission and looks for nothing
    HAVING min(moment) >= CAST($as_of AS DATE) + 1 - $days
)

SELECT
    app.service_principal_id,
    app.app_id,
    app.display_name AS app_display_name,
    '' AS subject,
    CAST(compared.most.refused AS DOUBLE) AS measure,
    CAST(CASE compared.most.unit WHEN 'day' THEN $min_refused_a_day ELSE $min_refused END AS DOUBLE) AS threshold,
    concat(
        CASE compared.most.unit
            WHEN 'day' THEN strftime(compared.most.moment, 'On %Y-%m-%d ')
            ELSE concat('Within ', $minutes, strftime(compared.most.moment, ' minutes from %Y-%m-%d %H:%M UTC '))
        END,
        compared.most.refused, ' of ', compared.most.calls, ' calls of the app were refused (',
        CAST(round(100 * compared.most.refused / compared.most.calls) AS INTEGER), ' %), at ',
        len(compared.most.endpoints), ' kinds of endpoints (', array_to_string(compared.most.endpoints[1:3], ', '),
        '); it had no such time in the ', CAST($history_days AS INTEGER), ' days before.'
    ) AS reason,
    json_object(
        'moment', compared.most.moment, 'unit', compared.most.unit, 'calls', compared.most.calls,
        'refused', compared.most.refused, 'paths', compared.most.paths,
        'endpoints', compared.most.endpoints[1:20], 'bursts', compared.bursts,
        'app_origin', app.app_origin, 'publisher_verified', app.publisher_verified
    ) AS evidence
FROM compared
INNER JOIN app_inventory AS app ON compared.app_id = app.app_id
WHERE app.is_in_scope
ORDER BY app.service_principal_id
