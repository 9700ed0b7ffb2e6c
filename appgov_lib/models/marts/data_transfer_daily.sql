-- grain: app x day x service x resource type x read or write x user
-- source: stg_api_activity, api_calls_daily, api_day_sources
-- Of days read as sums nobody is named: user_id is NULL there, and where no user was behind the calls. Days of which
-- only pruned sums are left are in app_resource_daily.
SELECT
    a.app_id,
    CAST(a.called_at AS DATE) AS day,
    a.service,
    a.resource_type,
    a.access,
    a.user_id,
    count(*) AS calls,
    -- NULL when no call had a size; sizes are what the service sent, uploads are not measured
    CAST(sum(a.bytes_returned) AS BIGINT) AS bytes_returned,
    count(*) FILTER (a.bytes_returned IS NULL) AS bytes_unknown_calls,
    'requests' AS read_from
FROM stg_api_activity AS a
SEMI JOIN (SELECT day FROM api_day_sources WHERE read_from = 'requests') AS d ON d.day = CAST(a.called_at AS DATE)
WHERE a.app_id IS NOT NULL AND NOT a.is_batch_envelope
GROUP BY ALL
UNION ALL
SELECT
    app_id,
    day,
    service,
    resource_type,
    access,
    CAST(NULL AS VARCHAR) AS user_id,
    CAST(sum(calls) AS BIGINT) AS calls,
    CAST(sum(bytes_returned) AS BIGINT) AS bytes_returned,
    CAST(sum(bytes_unknown_calls) AS BIGINT) AS bytes_unknown_calls,
    read_from
FROM api_calls_daily
WHERE read_from = 'sums'
GROUP BY ALL
ORDER BY app_id, day, service, resource_type, access, user_id
