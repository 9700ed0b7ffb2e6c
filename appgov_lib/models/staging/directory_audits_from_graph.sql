-- grain: record as received (duplicates included)
-- source: Graph /auditLogs/directoryAudits
WITH records AS (
    SELECT
        *,
        items("targetResources") AS target_list
    FROM read_json($directory_audits_graph,
        format = 'newline_delimited', records = true, ignore_errors = true, columns = {
        id: 'VARCHAR',
        "activityDateTime": 'VARCHAR',
        "activityDisplayName": 'VARCHAR',
        category: 'VARCHAR',
        "operationType": 'VARCHAR',
        result: 'VARCHAR',
        "resultReason": 'VARCHAR',
        "initiatedBy": 'JSON',
        "targetResources": 'JSON',
        "additionalDetails": 'JSON',
        "loggedByService": 'VARCHAR',
        "correlationId": 'VARCHAR'
    })
)

SELECT
    coalesce(filled(id), md5(concat_ws('|', "activityDateTime", "activityDisplayName", "correlationId",
        "initiatedBy", "targetResources"))) AS audit_id,
    to_utc("activityDateTime") AS activity_at,
    -- 'Update application – Certificates and secrets management ' is written with an en dash and a trailing blank
    filled(trim(replace("activityDisplayName", chr(8211), '-'))) AS activity,
    filled(category) AS category,
    filled("operationType") AS operation_type,
    CASE lower(result)
        WHEN 'success' THEN 'success'
        WHEN 'failure' THEN 'failure'
        ELSE 'unknown'
    END AS result,
    filled("resultReason") AS result_reason,
    coalesce(
        guid("initiatedBy" ->> '$.user.id'),
        guid("initiatedBy" ->> '$.app.servicePrincipalId')
    ) AS actor_id,
    CASE
        WHEN guid("initiatedBy" ->> '$.user.id') IS NOT NULL THEN 'user'
        WHEN json_type("initiatedBy", '$.app') = 'OBJECT' THEN 'service_principal'
        ELSE 'unknown'
    END AS actor_type,
    coalesce(
        filled(lower("initiatedBy" ->> '$.user.userPrincipalName')),
        filled("initiatedBy" ->> '$.user.displayName'),
        filled("initiatedBy" ->> '$.app.displayName'),
        filled("initiatedBy" ->> '$.app.servicePrincipalName')
    ) AS actor_name,
    guid("initiatedBy" ->> '$.app.appId') AS actor_app_id,
    filled("initiatedBy" ->> '$.user.ipAddress') AS actor_ip,
    list_filter(
        list_transform(target_list, lambda t: guid(json_extract_string(t, '$.id'))),
        lambda t: t IS NOT NULL
    ) AS target_ids,
    filled(target_list[1] ->> '$.displayName') AS target_name,
    filled(coalesce(target_list[1] ->> '$.type', target_list[1] ->> '$.Type')) AS target_type,
    "targetResources" AS targets,
    "additionalDetails" AS details,
    guid("correlationId") AS correlation_id,
    filled("loggedByService") AS logged_by_service,
    'graph' AS shape
FROM records
