-- grain: record as received (duplicates included)
-- source: Log Analytics table AuditLogs, exported as CSV or NDJSON (dynamic columns as objects or as JSON text)
WITH rows_read AS (
    SELECT
        *,
        TRY_CAST("InitiatedBy" AS JSON) AS initiated_by,
        TRY_CAST("TargetResources" AS JSON) AS targets
    FROM read_json($directory_audits_log_analytics,
        format = 'newline_delimited', records = true, ignore_errors = true, columns = {
        "Id": 'VARCHAR',
        "ActivityDateTime": 'VARCHAR',
        "ActivityDateTime [UTC]": 'VARCHAR',
        "TimeGenerated": 'VARCHAR',
        "TimeGenerated [UTC]": 'VARCHAR',
        "ActivityDisplayName": 'VARCHAR',
        "OperationName": 'VARCHAR',
        "LoggedByService": 'VARCHAR',
        "Category": 'VARCHAR',
        "AADOperationType": 'VARCHAR',
        "Result": 'VARCHAR',
        "ResultReason": 'VARCHAR',
        "ResultDescription": 'VARCHAR',
        "InitiatedBy": 'VARCHAR',
        "TargetResources": 'VARCHAR',
        "AdditionalDetails": 'VARCHAR',
        "CorrelationId": 'VARCHAR'
    })
),

records AS (
    SELECT
        *,
        items(targets) AS target_list,
        replace(coalesce("ActivityDateTime [UTC]", "TimeGenerated [UTC]"), chr(8239), ' ') AS portal_time
    FROM rows_read
)

SELECT
    coalesce(filled("Id"), md5(concat_ws('|', "TimeGenerated", portal_time, "OperationName", "CorrelationId",
        "InitiatedBy", "TargetResources"))) AS audit_id,
    -- an export may have dropped every time column; then the time is unknown
    coalesce(
        to_utc("ActivityDateTime"),
        to_utc("TimeGenerated"),
        to_utc(portal_time),
        TRY_STRPTIME(portal_time, ['%-m/%-d/%Y, %-I:%M:%S.%g %p', '%-m/%-d/%Y, %-I:%M:%S %p'])
    ) AS activity_at,
    -- 'Update application – Certificates and secrets management ' is written with an en dash and a trailing blank
    filled(trim(replace(
        coalesce(filled("ActivityDisplayName"), filled("OperationName")), chr(8211), '-'
    ))) AS activity,
    filled("Category") AS category,
    filled("AADOperationType") AS operation_type,
    CASE
        WHEN lower("Result") IN ('success', 'succeeded') THEN 'success'
        WHEN lower("Result") IN ('failure', 'failed') THEN 'failure'
        ELSE 'unknown'
    END AS result,
    coalesce(filled("ResultReason"), filled("ResultDescription")) AS result_reason,
    coalesce(
        guid(initiated_by ->> '$.user.id'),
        guid(initiated_by ->> '$.app.servicePrincipalId')
    ) AS actor_id,
    CASE
        WHEN guid(initiated_by ->> '$.user.id') IS NOT NULL THEN 'user'
        WHEN json_type(initiated_by, '$.app') = 'OBJECT' THEN 'service_principal'
        ELSE 'unknown'
    END AS actor_type,
    coalesce(
        filled(lower(initiated_by ->> '$.user.userPrincipalName')),
        filled(initiated_by ->> '$.user.displayName'),
        filled(initiated_by ->> '$.app.displayName'),
        filled(initiated_by ->> '$.app.servicePrincipalName')
    ) AS actor_name,
    guid(initiated_by ->> '$.app.appId') AS actor_app_id,
    filled(initiated_by ->> '$.user.ipAddress') AS actor_ip,
    list_filter(
        list_transform(target_list, lambda t: guid(json_extract_string(t, '$.id'))),
        lambda t: t IS NOT NULL
    ) AS target_ids,
    filled(target_list[1] ->> '$.displayName') AS target_name,
    filled(target_list[1] ->> '$.type') AS target_type,
    targets,
    TRY_CAST(filled("AdditionalDetails") AS JSON) AS details,
    guid("CorrelationId") AS correlation_id,
    filled("LoggedByService") AS logged_by_service,
    'log_analytics' AS shape
FROM records
