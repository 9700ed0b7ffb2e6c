-- grain: record as received (duplicates included)
-- source: diagnostic settings (Event Hub, storage account): MicrosoftGraphActivityLogs
SELECT
    coalesce(guid(properties."requestId"), md5(concat_ws('|', time, CAST(properties AS VARCHAR)))) AS request_id,
    coalesce(to_utc(properties."timeGenerated"), to_utc(time)) AS called_at,
    guid(properties."appId") AS app_id,
    guid(properties."servicePrincipalId") AS service_principal_id,
    guid(properties."userId") AS user_id,
    filled(upper(properties."requestMethod")) AS method,
    filled(properties."requestUri") AS uri,
    filled(properties."apiVersion") AS api_version,
    coalesce(
        TRY_CAST(properties."responseStatusCode" AS INTEGER),
        TRY_CAST("resultSignature" AS INTEGER)
    ) AS status,
    -- a size below zero means that none was measured
    CASE
        WHEN TRY_CAST(properties."responseSizeBytes" AS BIGINT) >= 0
            THEN TRY_CAST(properties."responseSizeBytes" AS BIGINT)
    END AS bytes_returned,
    -- as reported; real records hold values that can only be microseconds
    TRY_CAST(coalesce(properties."durationMs", "durationMs") AS BIGINT) AS duration_ms,
    coalesce(filled(properties."ipAddress"), filled("callerIpAddress")) AS ip_address,
    filled(properties."userAgent") AS user_agent,
    guid(properties."operationId") AS operation_id,
    filled(properties."signInActivityId") AS token_id,
    CASE
        WHEN properties."C_Idtyp" = 'app' THEN true
        WHEN properties."C_Idtyp" = 'user' OR guid(properties."userId") IS NOT NULL THEN false
        WHEN guid(properties."servicePrincipalId") IS NOT NULL THEN true
    END AS is_app_only,
    -- a delegated token may carry roles too; what it was allowed to do stands in its scopes
    coalesce(
        CASE WHEN guid(properties."userId") IS NULL THEN filled(properties.roles) END,
        filled(properties.scopes),
        filled(properties.roles)
    ) AS permissions,
    CAST(NULL AS VARCHAR) AS workload,
    'diagnostic' AS shape
FROM read_json($api_activity_diagnostic,
    format = 'newline_delimited', records = true, ignore_errors = true, columns = {
    time: 'VARCHAR',
    "resultSignature": 'VARCHAR',
    "durationMs": 'VARCHAR',
    "callerIpAddress": 'VARCHAR',
    properties: 'STRUCT(
        "timeGenerated" VARCHAR,
        "requestId" VARCHAR,
        "operationId" VARCHAR,
        "appId" VARCHAR,
        "servicePrincipalId" VARCHAR,
        "userId" VARCHAR,
        "C_Idtyp" VARCHAR,
        "requestMethod" VARCHAR,
        "requestUri" VARCHAR,
        "apiVersion" VARCHAR,
        "responseStatusCode" VARCHAR,
        "responseSizeBytes" VARCHAR,
        "durationMs" VARCHAR,
        "ipAddress" VARCHAR,
        "userAgent" VARCHAR,
        "signInActivityId" VARCHAR,
        roles VARCHAR,
        scopes VARCHAR
    )'
})
