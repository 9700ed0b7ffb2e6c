-- grain: record as received (duplicates included)
-- source: Log Analytics tables SigninLogs and AAD*SignInLogs, exported as CSV or NDJSON
-- The portal names time columns "... [UTC]", writes twelve-hour times and cuts dynamic columns into ..._dynamic.
WITH records AS (
    SELECT
        *,
        coalesce("Status", "Status_dynamic", "Status_string") AS status_text,
        TRY_CAST(coalesce("DeviceDetail", "DeviceDetail_dynamic") AS JSON) AS device,
        coalesce("LocationDetails", "LocationDetails_dynamic", "LocationDetails_string") AS location_text,
        coalesce(
            to_utc("CreatedDateTime"),
            to_utc("CreatedDateTime [UTC]"),
            TRY_STRPTIME(replace("CreatedDateTime [UTC]", chr(8239), ' '),
                ['%-m/%-d/%Y, %-I:%M:%S.%g %p', '%-m/%-d/%Y, %-I:%M:%S %p'])
        ) AS made_at,
        coalesce(
            to_utc("TimeGenerated"),
            to_utc("TimeGenerated [UTC]"),
            TRY_STRPTIME(replace("TimeGenerated [UTC]", chr(8239), ' '),
                ['%-m/%-d/%Y, %-I:%M:%S.%g %p', '%-m/%-d/%Y, %-I:%M:%S %p'])
        ) AS generated_at
    FROM read_json($sign_ins_log_analytics,
        format = 'newline_delimited', records = true, ignore_errors = true, columns = {
        "Id": 'VARCHAR',
        "CreatedDateTime": 'VARCHAR',
        "CreatedDateTime [UTC]": 'VARCHAR',
        "TimeGenerated": 'VARCHAR',
        "TimeGenerated [UTC]": 'VARCHAR',
        "Type": 'VARCHAR',
        "Category": 'VARCHAR',
        "AppId": 'VARCHAR',
        "AppDisplayName": 'VARCHAR',
        "ServicePrincipalId": 'VARCHAR',
        "ServicePrincipalName": 'VARCHAR',
        "UserId": 'VARCHAR',
        "UserPrincipalName": 'VARCHAR',
        "ResultType": 'VARCHAR',
        "ResultDescription": 'VARCHAR',
        "Status": 'VARCHAR',
        "Status_dynamic": 'VARCHAR',
        "Status_string": 'VARCHAR',
        "IPAddress": 'VARCHAR',
        "Location": 'VARCHAR',
        "LocationDetails": 'VARCHAR',
        "LocationDetails_dynamic": 'VARCHAR',
        "LocationDetails_string": 'VARCHAR',
        "AutonomousSystemNumber": 'VARCHAR',
        "UserAgent": 'VARCHAR',
        "ClientAppUsed": 'VARCHAR',
        "ResourceIdentity": 'VARCHAR',
        "ResourceDisplayName": 'VARCHAR',
        "ServicePrincipalCredentialKeyId": 'VARCHAR',
        "ClientCredentialType": 'VARCHAR',
        "CorrelationId": 'VARCHAR',
        "UniqueTokenIdentifier": 'VARCHAR',
        "RiskLevelDuringSignIn": 'VARCHAR',
        "RiskLevelAggregated": 'VARCHAR',
        "RiskState": 'VARCHAR',
        "AuthenticationRequirement": 'VARCHAR',
        "AuthenticationProtocol": 'VARCHAR',
        "ConditionalAccessStatus": 'VARCHAR',
        "DeviceDetail": 'VARCHAR',
        "DeviceDetail_dynamic": 'VARCHAR',
        "NetworkLocationDetails": 'VARCHAR'
    })
)

SELECT
    coalesce(guid("Id"), md5(concat_ws('|', made_at, generated_at, "AppId", "ServicePrincipalId", "UserId",
        "UserPrincipalName", "IPAddress", "ResultType", "CorrelationId"))) AS sign_in_id,
    -- some exports cut CreatedDateTime to seconds; TimeGenerated of the same second has the rest
    CASE
        WHEN date_trunc('second', generated_at) = date_trunc('second', made_at) THEN greatest(generated_at, made_at)
        ELSE coalesce(made_at, generated_at)
    END AS created_at,
    guid("AppId") AS app_id,
    coalesce(filled("AppDisplayName"), filled("ServicePrincipalName")) AS app_name,
    guid("ServicePrincipalId") AS service_principal_id,
    filled("ServicePrincipalName") AS service_principal_name,
    coalesce(guid("UserId"), filled(lower("UserPrincipalName"))) AS user_id,
    filled(lower("UserPrincipalName")) AS user_principal_name,
    CASE
        WHEN regexp_matches(concat_ws(' ', "Type", "Category"), 'ManagedIdentitySignInLogs', 'i') THEN 'managed_identity'
        WHEN regexp_matches(concat_ws(' ', "Type", "Category"), 'ServicePrincipalSignInLogs', 'i') THEN 'service_principal'
        WHEN regexp_matches(concat_ws(' ', "Type", "Category"), 'NonInteractiveUserSignInLogs', 'i') THEN 'non_interactive'
        WHEN regexp_matches(concat_ws(' ', "Type", "Category"), '\bSignInLogs\b', 'i') THEN 'interactive'
        ELSE 'unknown'
    END AS sign_in_type,
    coalesce(
        TRY_CAST("ResultType" AS INTEGER),
        TRY_CAST(TRY_CAST(status_text AS JSON) ->> '$.errorCode' AS INTEGER)
    ) AS error_code,
    coalesce(
        filled(TRY_CAST(status_text AS JSON) ->> '$.failureReason'),
        filled("ResultDescription")
    ) AS failure_reason,
    filled("IPAddress") AS ip_address,
    coalesce(filled(TRY_CAST(location_text AS JSON) ->> '$.countryOrRegion'), filled("Location")) AS country,
    filled(TRY_CAST(location_text AS JSON) ->> '$.city') AS city,
    filled("AutonomousSystemNumber") AS asn,
    filled("UserAgent") AS user_agent,
    filled("ClientAppUsed") AS client_app,
    guid("ResourceIdentity") AS resource_id,
    filled("ResourceDisplayName") AS resource_name,
    guid("ServicePrincipalCredentialKeyId") AS credential_key_id,
    nullif(filled("ClientCredentialType"), 'none') AS credential_type,
    guid("CorrelationId") AS correlation_id,
    filled("UniqueTokenIdentifier") AS token_id,
    risk_of("RiskLevelDuringSignIn", "RiskLevelAggregated") AS risk_level,
    filled("RiskState") AS risk_state,
    filled("AuthenticationRequirement") AS authentication_requirement,
    filled("AuthenticationProtocol") AS authentication_protocol,
    filled("ConditionalAccessStatus") AS conditional_access_status,
    device ->> '$.deviceId' AS device_id,
    device ->> '$.trustType' AS device_trust_type,
    filled("NetworkLocationDetails") AS network_location,
    CAST(NULL AS VARCHAR) AS request_type,
    'log_analytics' AS shape
FROM records
