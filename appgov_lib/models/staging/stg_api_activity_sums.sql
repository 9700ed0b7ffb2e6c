-- grain: app x day x workload x method x status class x endpoint
-- source: advanced hunting, table GraphApiAuditEvents, summed up by the service
-- Sums have no ids by which duplicates would collapse. Within one reading windows only touch, so its rows add up;
-- readings overlap by a day, so each day is taken from the reading that saw most of it.
WITH records AS (
    SELECT
        -- raw/<snapshot>/<bucket>/<file>
        regexp_extract(filename, '([^/\\]+)[/\\][^/\\]+[/\\][^/\\]+$', 1) AS reading,
        CAST(to_utc("Day") AS DATE) AS day,
        guid(hunted("ApplicationId")) AS app_id,
        hunted("TargetWorkload") AS workload,
        hunted(upper("RequestMethod")) AS method,
        hunted("StatusClass") AS status_class,
        hunted("Endpoint") AS endpoint,
        TRY_CAST("Calls" AS BIGINT) AS calls,
        TRY_CAST("Bytes" AS BIGINT) AS bytes,
        TRY_CAST("BytesUnknownCalls" AS BIGINT) AS bytes_unknown_calls,
        TRY_CAST("Users" AS BIGINT) AS users
    FROM read_json($call_sums_hunting, filename = true,
        format = 'newline_delimited', records = true, ignore_errors = true, columns = {
        "Day": 'VARCHAR',
        "ApplicationId": 'VARCHAR',
        "TargetWorkload": 'VARCHAR',
        "RequestMethod": 'VARCHAR',
        "StatusClass": 'VARCHAR',
        "Endpoint": 'VARCHAR',
        "Calls": 'VARCHAR',
        "Bytes": 'VARCHAR',
        "BytesUnknownCalls": 'VARCHAR',
        "Users": 'VARCHAR'
    })
    WHERE to_utc("Day") IS NOT NULL AND TRY_CAST("Calls" AS BIGINT) IS NOT NULL
),

fullest AS (
    SELECT day, reading
    FROM records
    GROUP BY day, reading
    QUALIFY row_number() OVER (PARTITION BY day ORDER BY sum(calls) DESC, reading DESC) = 1
)

SELECT
    r.app_id,
    r.day,
    r.workload,
    r.method,
    r.status_class,
    r.endpoint,
    CAST(sum(r.calls) AS BIGINT) AS calls,
    -- no size known is not zero bytes
    CAST(CASE WHEN sum(coalesce(r.bytes_unknown_calls, 0)) < sum(r.calls) THEN sum(r.bytes) END AS BIGINT)
        AS bytes_returned,
    CAST(sum(coalesce(r.bytes_unknown_calls, 0)) AS BIGINT) AS bytes_unknown_calls,
    -- people of two windows may be the same: the larger count is sure
    max(r.users) AS users
FROM records AS r
INNER JOIN fullest AS f USING (day, reading)
GROUP BY r.app_id, r.day, r.workload, r.method, r.status_class, r.endpoint
ORDER BY r.day, r.app_id, r.workload, r.method, r.status_class, r.endpoint
