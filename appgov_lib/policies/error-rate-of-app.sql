-- grain: app of whose calls a larger share fails than before
-- source: api_calls_daily, app_inventory
WITH counted AS (
    SELECT
        app_id,
        day > CAST($as_of AS DATE) - $days AS is_now,
        endpoint,
        status,
        -- to wait is judged by itself
        status >= 400 AND status <> 429 AS failed,
        calls
    FROM api_calls_daily
    WHERE
        status IS NOT NULL AND app_id IS NOT NULL
        AND day > CAST($as_of AS DATE) - $days - CAST($history_days AS INTEGER) AND day <= CAST($as_of AS DATE)
),

shares AS (
    SELECT
        app_id,
        coalesce(sum(calls) FILTER (is_now), 0) AS calls_now,
        coalesce(sum(calls) FILTER (is_now AND failed), 0) AS failed_now,
        coalesce(sum(calls) FILTER (NOT is_now), 0) AS calls_before,
        coalesce(sum(calls) FILTER (NOT is_now AND failed), 0) AS failed_before
    FROM counted
    GROUP BY app_id
),

-- what failed most often, for the reader
worst AS (
    SELECT app_id, arg_max(concat(endpoint, ' with ', status), (failures, endpoint, status)) AS what
    FROM (
        SELECT app_id, endpoint, status, sum(calls) AS failures
        FROM counted
        WHERE is_now AND failed
        GROUP BY ALL
    )
    GROUP BY app_id
)

SELECT
    app.service_principal_id,
    app.app_id,
    app.display_name AS app_display_name,
    '' AS subject,
    round(100 * shares.failed_now / shares.calls_now, 1) AS measure,
    round(100 * $min_share, 1) AS threshold,
    concat(
        shares.failed_now, ' of the app''s ', shares.calls_now, ' calls of the period failed (',
        round(100 * shares.failed_now / shares.calls_now, 1), ' %), most often ',
        coalesce(worst.what, 'at no known place'), '; in the ', CAST($history_days AS INTEGER), ' days before it was ',
        shares.failed_before, ' of ', shares.calls_before, '.'
    ) AS reason,
    json_object(
        'failed', shares.failed_now, 'calls', shares.calls_now, 'failed_before', shares.failed_before,
        'calls_before', shares.calls_before, 'most_often', worst.what
    ) AS evidence
FROM shares
INNER JOIN app_inventory AS app ON shares.app_id = app.app_id
LEFT JOIN worst ON shares.app_id = worst.app_id
WHERE
    app.is_in_scope
    AND shares.calls_now >= $min_calls AND shares.calls_before >= $min_calls
    AND shares.failed_now >= $min_share * shares.calls_now
    -- one more failure than were seen: of an app that never failed the share is unknown, not none
    AND shares.failed_now * (shares.calls_before + 1) >= $times * (shares.failed_before + 1) * shares.calls_now
ORDER BY app.service_principal_id
