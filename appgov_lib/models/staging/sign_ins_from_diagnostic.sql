-- grain: record as received (duplicates included)
-- source: diagnostic settings (Event Hub, storage account): the four sign-in categories
SELECT
    coalesce(guid(properties.id), md5(concat_ws('|', category, time, CAST(properties AS VARCHAR)))) AS sign_in_id,
    -- the envelope's time is when the record was written, often minutes after the sign-in
    coalesce(to_utc(properties."createdDateTime"), to_utc(time)) AS created_at,
    guid(properties."appId") AS app_id,
    coalesce(filled(properties."appDisplayName"), filled(properties."servicePrincipalName")) AS app_name,
    guid(properties."servicePrincipalId") AS service_principal_id,
    filled(properties."servicePrincipalName") AS service_principal_name,
    coalesce(guid(properties."userId"), filled(lower(properties."userPrincipalName"))) AS user_id,
    filled(lower(properties."userPrincipalName")) AS user_principal_name,
    CASE
        WHEN lower(category) = 'managedidentitysigninlogs' THEN 'managed_identity'
        WHEN lower(category) = 'serviceprincipalsigninlogs' THEN 'service_principal'
        WHEN lower(category) = 'noninteractiveusersigninlogs' THEN 'non_interactive'
        WHEN list_contains(texts(properties."signInEventTypes"), 'managedIdentity') THEN 'managed_identity'
        WHEN list_contains(texts(properties."signInEventTypes"), 'servicePrincipal') THEN 'service_principal'
        WHEN list_contains(texts(properties."signInEventTypes"), 'nonInteractiveUser') THEN 'non_interactive'
        WHEN lower(category) = 'signinlogs' THEN 'interactive'
        ELSE 'unknown'
    END AS sign_in_type,
    coalesce(
        TRY_CAST(properties.status ->> '$.errorCode' AS INTEGER),
        TRY_CAST("resultType" AS INTEGER),
        CASE WHEN lower("resultType") IN ('success', 'succeeded') THEN 0 END
    ) AS error_code,
    coalesce(
        filled(properties.status ->> '$.failureReason'),
        filled("resultDescription")
    ) AS failure_reason,
    coalesce(filled(properties."ipAddress"), filled("callerIpAddress")) AS ip_address,
    coalesce(filled(properties.location ->> '$.countryOrRegion'), filled(location)) AS country,
    filled(properties.location ->> '$.city') AS city,
    filled(properties."autonomousSystemNumber") AS asn,
    filled(properties."userAgent") AS user_agent,
    filled(properties."clientAppUsed") AS client_app,
    guid(properties."resourceId") AS resource_id,
    filled(properties."resourceDisplayName") AS resource_name,
    guid(properties."servicePrincipalCredentialKeyId") AS credential_key_id,
    nullif(filled(properties."clientCredentialType"), 'none') AS credential_type,
    guid(coalesce(properties."correlationId", "correlationId")) AS correlation_id,
    filled(properties."uniqueTokenIdentifier") AS token_id,
    risk_of(properties."riskLevelDuringSignIn", properties."riskLevelAggregated") AS risk_level,
    filled(properties."riskState") AS risk_state,
    filled(properties."authenticationRequirement") AS authentication_requirement,
    filled(properties."authenticationProtocol") AS authentication_protocol,
    filled(properties."conditionalAccessStatus") AS conditional_access_status,
    properties."deviceDetail" ->> '$.deviceId' AS device_id,
    properties."deviceDetail" ->> '$.trustType' AS device_trust_type,
    filled(CAST(properties."networkLocationDetails" AS VARCHAR)) AS network_location,
    CAST(NULL AS VARCHAR) AS request_type,
    'diagnostic' AS shape
FROM read_json($sign_ins_diagnostic,
    format = 'newline_delimited', records = true, ignore_errors = true, columns = {
    time: 'VARCHAR',
    category: 'VARCHAR',
    "resultType": 'VARCHAR',
    "resultDescription": 'VARCHAR',
    "callerIpAddress": 'VARCHAR',
    "correlationId": 'VARCHAR',
    location: 'VARCHAR',
    properties: 'STRUCT(
        id VARCHAR,
        "createdDateTime" VARCHAR,
        "appId" VARCHAR,
        "appDisplayName" VARCHAR,
        "servicePrincipalId" VARCHAR,
        "servicePrincipalName" VARCHAR,
        "userId" VARCHAR,
        "userPrincipalName" VARCHAR,
        "signInEventTypes" JSON,
        status JSON,
        "ipAddress" VARCHAR,
        location JSON,
        "autonomousSystemNumber" VARCHAR,
        "userAgent" VARCHAR,
        "clientAppUsed" VARCHAR,
        "resourceId" VARCHAR,
        "resourceDisplayName" VARCHAR,
        "servicePrincipalCredentialKeyId" VARCHAR,
        "clientCredentialType" VARCHAR,
        "correlationId" VARCHAR,
        "uniqueTokenIdentifier" VARCHAR,
        "riskLevelDuringSignIn" VARCHAR,
        "riskLevelAggregated" VARCHAR,
        "riskState" VARCHAR,
        "authenticationRequirement" VARCHAR,
        "authenticationProtocol" VARCHAR,
        "conditionalAccessStatus" VARCHAR,
        "deviceDetail" JSON,
        "networkLocationDetails" JSON
    )'
})
