-- grain: record as received (duplicates included)
-- source: diagnostic settings (Event Hub, storage account): AuditLogs
WITH records AS (
    SELECT
        *,
        items(properties."targetResources") AS target_list,
        properties."initiatedBy" AS initiated_by,
        -- some forwarders leave the properties short; the envelope names the operation too
        coalesce(filled(properties."activityDisplayName"), filled("operationName")) AS written_activity
    FROM read_json($directory_audits_diagnostic,
        format = 'newline_delimited', records = true, ignore_errors = true, columns = {
        time: 'VARCHAR',
        category: 'VARCHAR',
        "operationName": 'VARCHAR',
        "callerIpAddress": 'VARCHAR',
        "correlationId": 'VARCHAR',
        "resultDescription": 'VARCHAR',
        properties: 'STRUCT(
            id VARCHAR,
            "activityDateTime" VARCHAR,
            "activityDisplayName" VARCHAR,
            category VARCHAR,
            "operationType" VARCHAR,
            "loggedByService" VARCHAR,
            result VARCHAR,
            "resultReason" VARCHAR,
            "initiatedBy" JSON,
            "targetResources" JSON,
            "additionalDetails" JSON,
            "correlationId" VARCHAR
        )'
    })
)

SELECT
    coalesce(filled(properties.id), md5(concat_ws('|', time, "operationName", "correlationId",
        CAST(properties AS VARCHAR)))) AS audit_id,
    coalesce(to_utc(properties."activityDateTime"), to_utc(time)) AS activity_at,
    -- 'Update application – Certificates and secrets management ' is written with an en dash and a trailing blank
    filled(trim(replace(written_activity, chr(8211), '-'))) AS activity,
    coalesce(filled(properties.category), nullif(filled(category), 'AuditLogs')) AS category,
    filled(properties."operationType") AS operation_type,
    CASE
        WHEN lower(properties.result) IN ('success', 'succeeded') THEN 'success'
        WHEN lower(properties.result) IN ('failure', 'failed') THEN 'failure'
        ELSE 'unknown'
    END AS result,
    coalesce(filled(properties."resultReason"), filled("resultDescription")) AS result_reason,
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
    coalesce(filled(initiated_by ->> '$.user.ipAddress'), filled("callerIpAddress")) AS actor_ip,
    list_filter(
        list_transform(target_list, lambda t: guid(json_extract_string(t, '$.id'))),
        lambda t: t IS NOT NULL
    ) AS target_ids,
    filled(target_list[1] ->> '$.displayName') AS target_name,
    filled(coalesce(target_list[1] ->> '$.type', target_list[1] ->> '$.Type')) AS target_type,
    properties."targetResources" AS targets,
    properties."additionalDetails" AS details,
    guid(coalesce(properties."correlationId", "correlationId")) AS correlation_id,
    filled(properties."loggedByService") AS logged_by_service,
    'diagnostic' AS shape
FROM records
