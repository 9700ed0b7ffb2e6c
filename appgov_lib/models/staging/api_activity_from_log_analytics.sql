-- grain: record as received (duplicates included)
-- source: Log Analytics table MicrosoftGraphActivityLogs, exported as CSV or NDJSON
SELECT
    coalesce(guid("RequestId"), md5(concat_ws('|', "TimeGenerated", "TimeGenerated [UTC]", "AppId",
        "ServicePrincipalId", "UserId", "RequestMethod", "RequestUri", "ResponseStatusCode",
        "ResponseSizeBytes"))) AS request_id,
    coalesce(
        to_utc("TimeGenerated"),
        to_utc("TimeGenerated [UTC]"),
        TRY_STRPTIME(replace("TimeGenerated [UTC]", chr(8239), ' '),
            ['%-m/%-d/%Y, %-I:%M:%S.%g %p', '%-m/%-d/%Y, %-I:%M:%S %p'])
    ) AS called_at,
    guid("AppId") AS app_id,
    guid("ServicePrincipalId") AS service_principal_id,
    guid("UserId") AS user_id,
    filled(upper("RequestMethod")) AS method,
    filled("RequestUri") AS uri,
    filled("ApiVersion") AS api_version,
    TRY_CAST("ResponseStatusCode" AS INTEGER) AS status,
    -- a size below zero means that none was measured
    CASE
        WHEN TRY_CAST("ResponseSizeBytes" AS BIGINT) >= 0 THEN TRY_CAST("ResponseSizeBytes" AS BIGINT)
    END AS bytes_returned,
    TRY_CAST("DurationMs" AS BIGINT) AS duration_ms,
    filled("IPAddress") AS ip_address,
    filled("UserAgent") AS user_agent,
    guid("OperationId") AS operation_id,
    filled("SignInActivityId") AS token_id,
    CASE
        WHEN "C_Idtyp" = 'app' THEN true
        WHEN "C_Idtyp" = 'user' OR guid("UserId") IS NOT NULL THEN false
        WHEN guid("ServicePrincipalId") IS NOT NULL THEN true
    END AS is_app_only,
    -- a delegated token may carry roles too; what it was allowed to do stands in its scopes
    coalesce(
        CASE WHEN guid("UserId") IS NULL THEN filled("Roles") END,
        filled("Scopes"),
        filled("Roles")
    ) AS permissions,
    CAST(NULL AS VARCHAR) AS workload,
    'log_analytics' AS shape
FROM read_json($api_activity_log_analytics,
    format = 'newline_delimited', records = true, ignore_errors = true, columns = {
    "TimeGenerated": 'VARCHAR',
    "TimeGenerated [UTC]": 'VARCHAR',
    "RequestId": 'VARCHAR',
    "OperationId": 'VARCHAR',
    "AppId": 'VARCHAR',
    "ServicePrincipalId": 'VARCHAR',
    "UserId": 'VARCHAR',
    "C_Idtyp": 'VARCHAR',
    "RequestMethod": 'VARCHAR',
    "RequestUri": 'VARCHAR',
    "ApiVersion": 'VARCHAR',
    "ResponseStatusCode": 'VARCHAR',
    "ResponseSizeBytes": 'VARCHAR',
    "DurationMs": 'VARCHAR',
    "IPAddress": 'VARCHAR',
    "UserAgent": 'VARCHAR',
    "SignInActivityId": 'VARCHAR',
    "Roles": 'VARCHAR',
    "Scopes": 'VARCHAR'
})
