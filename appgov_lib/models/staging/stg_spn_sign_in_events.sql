-- grain: sign-in of an app or managed identity, as advanced hunting has it
-- source: advanced hunting, table EntraIdSpnSignInEvents; repeats stg_sign_ins and is not added to it
WITH events AS (
    SELECT
        *,
        to_utc("Timestamp") AS created_at,
        coalesce(guid(hunted("RequestId")), hunted("ReportId"), md5(concat_ws('|', "Timestamp", "ApplicationId",
            "ResourceId", "IPAddress", "CorrelationId", "ErrorCode"))) AS sign_in_id
    FROM read_json($spn_sign_in_events_hunting,
        format = 'newline_delimited', records = true, ignore_errors = true, columns = {
        "Timestamp": 'VARCHAR',
        "RequestId": 'VARCHAR',
        "ReportId": 'VARCHAR',
        "CorrelationId": 'VARCHAR',
        "Application": 'VARCHAR',
        "ApplicationId": 'VARCHAR',
        "ServicePrincipalName": 'VARCHAR',
        "ServicePrincipalId": 'VARCHAR',
        "IsManagedIdentity": 'VARCHAR',
        "ErrorCode": 'VARCHAR',
        "ResourceDisplayName": 'VARCHAR',
        "ResourceId": 'VARCHAR',
        "ResourceTenantId": 'VARCHAR',
        "IPAddress": 'VARCHAR',
        "Country": 'VARCHAR',
        "City": 'VARCHAR'
    })
)

SELECT
    -- the request id is the id of the sign-in in Graph
    sign_in_id,
    created_at,
    guid(hunted("ApplicationId")) AS app_id,
    hunted("Application") AS app_name,
    guid(hunted("ServicePrincipalId")) AS service_principal_id,
    hunted("ServicePrincipalName") AS service_principal_name,
    coalesce(TRY_CAST("IsManagedIdentity" AS BOOLEAN), TRY_CAST("IsManagedIdentity" AS DOUBLE) <> 0)
        AS is_managed_identity,
    TRY_CAST("ErrorCode" AS INTEGER) AS error_code,
    guid(hunted("ResourceId")) AS resource_id,
    hunted("ResourceDisplayName") AS resource_name,
    guid(hunted("ResourceTenantId")) AS resource_tenant_id,
    hunted("IPAddress") AS ip_address,
    hunted("Country") AS country,
    hunted("City") AS city,
    guid(hunted("CorrelationId")) AS correlation_id,
    count(*) OVER (PARTITION BY sign_in_id) AS copies
FROM events
QUALIFY row_number() OVER (
    PARTITION BY sign_in_id
    ORDER BY created_at, "ApplicationId", "ResourceId", "ErrorCode", "IPAddress"
) = 1
ORDER BY created_at, sign_in_id
