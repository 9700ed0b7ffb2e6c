-- grain: app that listed many kinds of directory objects in one minute for the first time
-- source: stg_api_activity, api_calls_daily, app_inventory
-- The past is counted only of apps that were busy enough in the period: it is by far the larger part.
WITH busy AS MATERIALIZED (
    SELECT DISTINCT app_id
    FROM (
        SELECT app_id
        FROM stg_api_activity
        WHERE
            method = 'GET' AND resource_type IN ('directory', 'files', 'sites') AND NOT is_batch_envelope
            AND called_at >= CAST($as_of AS DATE) + 1 - $days AND called_at < CAST($as_of AS DATE) + 1
        GROUP BY app_id, date_trunc('minute', called_at)
        HAVING count(*) >= $min_calls
        UNION ALL
        SELECT app_id
        FROM api_calls_daily
        WHERE
            read_from = 'sums' AND method = 'GET' AND resource_type IN ('directory', 'files', 'sites')
            AND day BETWEEN CAST($as_of AS DATE) - $days + 1 AND CAST($as_of AS DATE)
        GROUP BY app_id, day
        HAVING sum(calls) >= $min_calls_a_day
    )
    WHERE app_id IS NOT NULL
),

requests AS (
    SELECT
        app_id, date_trunc('minute', called_at) AS moment, 'minute' AS unit, endpoint, resource_type, count(*) AS calls
    FROM stg_api_activity
    WHERE
        method = 'GET' AND resource_type IN ('directory', 'files', 'sites') AND NOT is_batch_envelope
        AND app_id IN (SELECT app_id FROM busy) AND NOT regexp_matches(endpoint, '(?i)^/me(/|$)')
        AND called_at >= CAST($as_of AS DATE) - $days - CAST($history_days AS INTEGER) + 1
        AND called_at < CAST($as_of AS DATE) + 1
    GROUP BY ALL
    UNION ALL
    -- where the service summed the calls up, the day is the shortest time there is
    SELECT app_id, CAST(day AS TIMESTAMP), 'day', endpoint, resource_type, sum(calls)
    FROM api_calls_daily
    WHERE
        read_from = 'sums' AND method = 'GET' AND resource_type IN ('directory', 'files', 'sites')
        AND app_id IN (SELECT app_id FROM busy) AND NOT regexp_matches(endpoint, '(?i)^/me(/|$)')
        AND day BETWEEN CAST($as_of AS DATE) - $days - CAST($history_days AS INTEGER) + 1 AND CAST($as_of AS DATE)
    GROUP BY ALL
),

bursts AS (
    SELECT
        app_id,
        unit,
        moment,
        CAST(sum(calls) AS BIGINT) AS calls,
        list_sort(list(DISTINCT split_part(endpoint, '/', 2))) AS categories
    FROM requests
    GROUP BY app_id, unit, moment
    HAVING
        count(DISTINCT lower(split_part(endpoint, '/', 2))) >= $min_categories
        AND sum(calls) >= CASE unit WHEN 'minute' THEN $min_calls ELSE $min_calls_a_day END
),

-- An app that does so every night keeps a copy of the directory for a living.
compared AS (
    SELECT
        app_id,
        count(*) FILTER (moment < CAST($as_of AS DATE) + 1 - $days) AS bursts_before,
        count(*) FILTER (moment >= CAST($as_of AS DATE) + 1 - $days) AS bursts,
        max(calls) FILTER (moment >= CAST($as_of AS DATE) + 1 - $days) AS calls,
        arg_max({'moment': moment, 'unit': unit, 'categories': categories}, (calls, moment))
            FILTER (moment >= CAST($as_of AS DATE) + 1 - $days) AS most
    FROM bursts
    GROUP BY app_id
),

known AS (
    SELECT app_id, min(CAST(day AS DATE)) AS day
    FROM api_calls_daily
    WHERE app_id IN (SELECT app_id FROM compared)
    GROUP BY app_id
)

SELECT
    app.service_principal_id,
    app.app_id,
    app.display_name AS app_display_name,
    '' AS subject,
    CAST(compared.calls AS DOUBLE) AS measure,
    CAST(CASE compared.most.unit WHEN 'minute' THEN $min_calls ELSE $min_calls_a_day END AS DOUBLE) AS threshold,
    concat(
        CASE compared.most.unit
            WHEN 'minute' THEN strftime(compared.most.moment, 'In the minute of %Y-%m-%d %H:%M UTC')
            ELSE strftime(compared.most.moment, 'On %Y-%m-%d')
        END,
        ' the app read ', len(compared.most.categories), ' kinds of directory objects in ', compared.calls, ' calls (',
        array_to_string(compared.most.categories[1:6], ', '), '), which it had not done in such a burst before; ',
        'it is known since ', strftime(known.day, '%Y-%m-%d'), '.'
    ) AS reason,
    json_object(
        'moment', compared.most.moment, 'unit', compared.most.unit, 'categories', compared.most.categories,
        'calls', compared.calls, 'bursts', compared.bursts, 'known_since', known.day,
        'added_on', coalesce(app.added_on, app.created_at), 'app_origin', app.app_origin,
        'publisher_verified', app.publisher_verified, 'privilege_level', app.privilege_level
    ) AS evidence
FROM compared
INNER JOIN known
    ON compared.app_id = known.app_id
INNER JOIN app_inventory AS app
    ON compared.app_id = app.app_id
WHERE
    app.is_in_scope
    AND compared.bursts > 0
    AND compared.bursts_before = 0
    -- new in the tenant, or known for long enough to say that it never did so
    AND (
        coalesce(app.added_on, app.created_at) >= CAST($as_of AS DATE) + 1 - CAST($days_new AS INTEGER)
        OR known.day <= CAST($as_of AS DATE) - $days - CAST($min_history_days AS INTEGER)
    )
ORDER BY app.service_principal_id
