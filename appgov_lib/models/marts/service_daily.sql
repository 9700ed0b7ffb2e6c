-- grain: day x service
-- source: app_activity_daily
SELECT
    day,
    service,
    CAST(sum(calls) AS BIGINT) AS calls,
    CAST(sum(errors) AS BIGINT) AS errors,
    CAST(sum(bytes_returned) AS BIGINT) AS bytes_returned,
    count(DISTINCT app_id) AS apps
FROM app_activity_daily
GROUP BY day, service
ORDER BY day, service
