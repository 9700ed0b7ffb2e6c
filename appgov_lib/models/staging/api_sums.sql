-- grain: sum as received, from the reading that saw most of its day
-- source: advanced hunting, table GraphApiAuditEvents, summed up by the service
-- Sums have no ids by which duplicates would collapse. Within one reading windows only touch, so its rows add up;
-- readings overlap by a day, so each day is taken from the reading that saw most of it.
WITH records AS (
    SELECT
        snapshot_of(filename) AS reading,
        CAST(to_utc("Day") AS DATE) AS day,
        guid(hunted("ApplicationId")) AS app_id,
        hunted("TargetWorkload") AS workload,
        hunted(upper("RequestMethod")) AS method,
        TRY_CAST(hunted("ResponseStatusCode") AS INTEGER) AS status,
        CASE
            WHEN lower("EntityType") = 'user' OR lower("HasUser") IN ('true', '1') THEN false
            WHEN lower("EntityType") IN ('app', 'application', 'serviceprincipal') THEN true
            WHEN lower("HasApp") IN ('true', '1') THEN true
        END AS is_app_only,
        api_path(hunted("Endpoint")) AS path,
        TRY_CAST("Calls" AS BIGINT) AS calls,
        TRY_CAST("Bytes" AS BIGINT) AS bytes,
        coalesce(TRY_CAST("BytesUnknownCalls" AS BIGINT), 0) AS bytes_unknown_calls,
        TRY_CAST("Users" AS BIGINT) AS users,
        to_utc("FirstAt") AS first_called_at,
        to_utc("LastAt") AS last_called_at
    FROM read_json($call_sums_hunting, filename = true,
        format = 'newline_delimited', records = true, ignore_errors = true, columns = {
        "Day": 'VARCHAR',
        "ApplicationId": 'VARCHAR',
        "EntityType": 'VARCHAR',
        "HasUser": 'VARCHAR',
        "HasApp": 'VARCHAR',
        "TargetWorkload": 'VARCHAR',
        "RequestMethod": 'VARCHAR',
        "ResponseStatusCode": 'VARCHAR',
        "Endpoint": 'VARCHAR',
        "Calls": 'VARCHAR',
        "Bytes": 'VARCHAR',
        "BytesUnknownCalls": 'VARCHAR',
        "Users": 'VARCHAR',
        "FirstAt": 'VARCHAR',
        "LastAt": 'VARCHAR'
    })
    WHERE to_utc("Day") IS NOT NULL AND TRY_CAST("Calls" AS BIGINT) IS NOT NULL
),

fullest AS (
    SELECT day, reading
    FROM records
    GROUP BY day, reading
    QUALIFY row_number() OVER (PARTITION BY day ORDER BY sum(calls) DESC, reading DESC) = 1
)

SELECT r.* EXCLUDE (reading)
FROM records AS r
INNER JOIN fullest AS f USING (day, reading)
