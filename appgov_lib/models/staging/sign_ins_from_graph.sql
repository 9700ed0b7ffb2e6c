-- grain: record as received (duplicates included)
-- source: Graph /auditLogs/signIns, v1.0 (interactive) and beta (the other streams)
SELECT
    coalesce(guid(id), md5(concat_ws('|', "createdDateTime", "appId", "servicePrincipalId", "userId", "ipAddress",
        "correlationId"))) AS sign_in_id,
    to_utc("createdDateTime") AS created_at,
    guid("appId") AS app_id,
    filled("appDisplayName") AS app_name,
    guid("servicePrincipalId") AS service_principal_id,
    filled("servicePrincipalName") AS service_principal_name,
    guid("userId") AS user_id,
    filled(lower("userPrincipalName")) AS user_principal_name,
    CASE
        WHEN list_contains(texts("signInEventTypes"), 'managedIdentity') THEN 'managed_identity'
        WHEN list_contains(texts("signInEventTypes"), 'servicePrincipal') THEN 'service_principal'
        WHEN list_contains(texts("signInEventTypes"), 'nonInteractiveUser') THEN 'non_interactive'
        WHEN list_contains(texts("signInEventTypes"), 'interactiveUser') THEN 'interactive'
        -- v1.0 has no event types
        WHEN guid("userId") IS NOT NULL AND "isInteractive" = 'true' THEN 'interactive'
        WHEN guid("userId") IS NOT NULL AND "isInteractive" = 'false' THEN 'non_interactive'
        WHEN guid("userId") IS NULL AND guid("servicePrincipalId") IS NOT NULL THEN 'service_principal'
        ELSE 'unknown'
    END AS sign_in_type,
    TRY_CAST(status ->> '$.errorCode' AS INTEGER) AS error_code,
    filled(status ->> '$.failureReason') AS failure_reason,
    filled("ipAddress") AS ip_address,
    filled(location ->> '$.countryOrRegion') AS country,
    filled(location ->> '$.city') AS city,
    filled("autonomousSystemNumber") AS asn,
    filled("userAgent") AS user_agent,
    filled("clientAppUsed") AS client_app,
    guid("resourceId") AS resource_id,
    filled("resourceDisplayName") AS resource_name,
    guid("servicePrincipalCredentialKeyId") AS credential_key_id,
    nullif(filled("clientCredentialType"), 'none') AS credential_type,
    guid("correlationId") AS correlation_id,
    filled("uniqueTokenIdentifier") AS token_id,
    risk_of("riskLevelDuringSignIn", "riskLevelAggregated") AS risk_level,
    filled("riskState") AS risk_state,
    filled("authenticationRequirement") AS authentication_requirement,
    filled("authenticationProtocol") AS authentication_protocol,
    filled("conditionalAccessStatus") AS conditional_access_status,
    "deviceDetail" ->> '$.deviceId' AS device_id,
    "deviceDetail" ->> '$.trustType' AS device_trust_type,
    filled(CAST("networkLocationDetails" AS VARCHAR)) AS network_location,
    CAST(NULL AS VARCHAR) AS request_type,
    'graph' AS shape
FROM read_json($sign_ins_graph,
    format = 'newline_delimited', records = true, ignore_errors = true, columns = {
    id: 'VARCHAR',
    "createdDateTime": 'VARCHAR',
    "appId": 'VARCHAR',
    "appDisplayName": 'VARCHAR',
    "servicePrincipalId": 'VARCHAR',
    "servicePrincipalName": 'VARCHAR',
    "userId": 'VARCHAR',
    "userPrincipalName": 'VARCHAR',
    "signInEventTypes": 'JSON',
    "isInteractive": 'VARCHAR',
    status: 'JSON',
    "ipAddress": 'VARCHAR',
    location: 'JSON',
    "autonomousSystemNumber": 'VARCHAR',
    "userAgent": 'VARCHAR',
    "clientAppUsed": 'VARCHAR',
    "resourceId": 'VARCHAR',
    "resourceDisplayName": 'VARCHAR',
    "servicePrincipalCredentialKeyId": 'VARCHAR',
    "clientCredentialType": 'VARCHAR',
    "correlationId": 'VARCHAR',
    "uniqueTokenIdentifier": 'VARCHAR',
    "riskLevelDuringSignIn": 'VARCHAR',
    "riskLevelAggregated": 'VARCHAR',
    "riskState": 'VARCHAR',
    "authenticationRequirement": 'VARCHAR',
    "authenticationProtocol": 'VARCHAR',
    "conditionalAccessStatus": 'VARCHAR',
    "deviceDetail": 'JSON',
    "networkLocationDetails": 'JSON'
})
