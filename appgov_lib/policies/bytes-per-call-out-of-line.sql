-- grain: app x service whose answers were much larger than its own used to be and than other apps' are
-- source: api_calls_daily, app_inventory
WITH sized AS (
    SELECT
        app_id,
        service,
        day > CAST($as_of AS DATE) - $days AS is_now,
        -- calls of unknown size are no calls of no size
        coalesce(sum(calls - bytes_unknown_calls), 0) AS calls,
        sum(bytes_returned) AS bytes
    FROM api_calls_daily
    WHERE
        app_id IS NOT NULL AND method = 'GET' AND status BETWEEN 200 AND 399 AND bytes_returned IS NOT NULL
        AND day > CAST($as_of AS DATE) - $days - CAST($history_days AS INTEGER) AND day <= CAST($as_of AS DATE)
    GROUP BY ALL
),

compared AS (
    SELECT
        app_id,
        service,
        sum(calls) FILTER (is_now) AS calls,
        sum(bytes) FILTER (is_now) AS bytes,
        sum(calls) FILTER (NOT is_now) AS calls_before,
        sum(bytes) FILTER (NOT is_now) AS bytes_before
    FROM sized
    GROUP BY app_id, service
    HAVING sum(calls) FILTER (is_now) >= $min_calls AND sum(calls) FILTER (NOT is_now) >= $min_calls
),

rates AS (
    SELECT *, bytes / calls AS size_now, bytes_before / calls_before AS size_before FROM compared
),

placed AS (
    SELECT
        *,
        row_number() OVER (PARTITION BY service ORDER BY size_now, app_id) - 1 AS place,
        count(*) OVER (PARTITION BY service) - 1 AS peers
    FROM rates
),

-- What three of four other apps have or less: by their places in the order of all apps of the service, because to set
-- every app beside every other one would be hundreds of millions of pairs in a large tenant.
peers AS (
    SELECT
        one.app_id,
        one.service,
        one.peers,
        lower.size_now + (upper.size_now - lower.size_now) * (one.mark - floor(one.mark)) AS size_of_peers
    FROM (SELECT *, 0.75 * (peers - 1) AS mark FROM placed) AS one
    LEFT JOIN placed AS lower
        ON one.service = lower.service AND lower.place = floor(one.mark) + CAST(floor(one.mark) >= one.place AS INTEGER)
    LEFT JOIN placed AS upper
        ON one.service = upper.service AND upper.place = ceil(one.mark) + CAST(ceil(one.mark) >= one.place AS INTEGER)
)

SELECT
    app.service_principal_id,
    app.app_id,
    app.display_name AS app_display_name,
    rates.service AS subject,
    round(rates.size_now) AS measure,
    round($times * rates.size_before) AS threshold,
    concat(
        'An answer of ', rates.service, ' to the app had ', CAST(round(rates.size_now / 1e3) AS BIGINT),
        ' kB on average, over ', rates.calls, ' calls and ', CAST(round(rates.bytes / 1e6) AS BIGINT), ' MB; in the ',
        CAST($history_days AS INTEGER), ' days before it was ', CAST(round(rates.size_before / 1e3) AS BIGINT), ' kB',
        CASE
            WHEN peers.peers >= $min_peers
                THEN concat(
                    ', and three of four other apps have ', CAST(round(peers.size_of_peers / 1e3) AS BIGINT),
                    ' kB or less.'
                )
            ELSE '; too few other apps call the service to compare with.'
        END
    ) AS reason,
    json_object(
        'calls', rates.calls, 'bytes', rates.bytes, 'calls_before', rates.calls_before,
        'bytes_before', rates.bytes_before,
        'bytes_per_call', round(rates.size_now), 'bytes_per_call_before', round(rates.size_before),
        'peers', peers.peers, 'bytes_per_call_of_peers', round(peers.size_of_peers)
    ) AS evidence
FROM rates
INNER JOIN peers ON rates.app_id = peers.app_id AND rates.service = peers.service
INNER JOIN app_inventory AS app ON rates.app_id = app.app_id
WHERE
    app.is_in_scope
    AND rates.bytes >= $min_bytes
    AND rates.size_now >= $times * rates.size_before
    AND (peers.peers < $min_peers OR rates.size_now > peers.size_of_peers)
ORDER BY app.service_principal_id, subject
