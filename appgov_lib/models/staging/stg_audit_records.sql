-- grain: record of the unified audit log
-- source: Graph beta /security/auditLog/queries/{id}/records
WITH records AS (
    SELECT
        *,
        coalesce(guid("auditData" ->> '$.Id'), guid(id), md5(concat_ws('|', "createdDateTime", operation, "userId",
            "objectId", "auditData"))) AS record_id,
        coalesce(to_utc("createdDateTime"), to_utc("auditData" ->> '$.CreationTime')) AS occurred_at,
        coalesce(guid("auditData" ->> '$.ApplicationId'), guid("auditData" ->> '$.AppId')) AS named_app,
        coalesce(filled(operation), "auditData" ->> '$.Operation') AS written_operation,
        coalesce(filled(service), filled("auditData" ->> '$.Workload')) AS workload
    FROM read_json($audit_records,
        format = 'newline_delimited', records = true, ignore_errors = true, columns = {
        id: 'VARCHAR',
        "createdDateTime": 'VARCHAR',
        "auditLogRecordType": 'VARCHAR',
        operation: 'VARCHAR',
        service: 'VARCHAR',
        "userId": 'VARCHAR',
        "userType": 'VARCHAR',
        "userPrincipalName": 'VARCHAR',
        "objectId": 'VARCHAR',
        "clientIp": 'VARCHAR',
        "auditData": 'JSON'
    })
)

SELECT
    record_id,
    occurred_at,
    filled("auditLogRecordType") AS record_type,
    filled(rtrim(trim(written_operation), '.')) AS operation,
    workload AS service,
    -- behind Graph and Exchange Online themselves stands the client that called them
    CASE
        WHEN named_app IS NULL
            OR named_app IN ('00000003-0000-0000-c000-000000000000', '00000002-0000-0ff1-ce00-000000000000')
            THEN coalesce(guid("auditData" ->> '$.ClientAppId'),
                guid("auditData" ->> '$.AppAccessContext.ClientAppId'), named_app)
        ELSE named_app
    END AS app_id,
    filled(lower("userId")) AS user_id,
    filled("userType") AS user_type,
    filled(lower("userPrincipalName")) AS user_principal_name,
    filled("objectId") AS object_id,
    filled("clientIp") AS ip_address,
    "auditData" AS audit_data,
    -- sign-ins are left to the sign-in log
    CASE
        WHEN written_operation IN ('UserLoggedIn', 'UserLoginFailed') THEN NULL
        WHEN lower(workload) = 'azureactivedirectory' THEN 'directory_audits'
        WHEN workload IS NOT NULL THEN 'office_activity'
    END AS log,
    count(*) OVER (PARTITION BY record_id) AS copies
FROM records
QUALIFY row_number() OVER (
    PARTITION BY record_id
    ORDER BY "auditData" IS NULL, occurred_at, written_operation, "userId", "objectId", CAST("auditData" AS VARCHAR)
) = 1
ORDER BY occurred_at, record_id
