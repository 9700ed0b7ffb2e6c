-- grain: app x endpoint family x method
-- source: app_endpoint_usage, findings; apps with an open finding, the period
SELECT
    app_id,
    method,
    endpoint_family,
    CAST(sum(calls) AS BIGINT) AS calls,
    CAST(sum(calls_previous) AS BIGINT) AS calls_previous,
    CAST(coalesce(sum(calls) FILTER (status >= 400 AND status <> 429), 0) AS BIGINT) AS refused,
    CAST(coalesce(sum(calls) FILTER (status = 429), 0) AS BIGINT) AS throttled,
    CAST(sum(bytes_returned) AS BIGINT) AS bytes_returned
FROM app_endpoint_usage
SEMI JOIN (FROM findings WHERE state NOT IN ('resolved', 'excepted')) USING (app_id)
GROUP BY ALL
HAVING sum(calls) > 0
ORDER BY app_id, sum(calls) DESC, endpoint_family, method
