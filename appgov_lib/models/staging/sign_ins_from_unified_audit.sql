-- grain: record as received (duplicates included)
-- source: unified audit log, operations UserLoggedIn and UserLoginFailed
WITH records AS (
    SELECT
        *,
        list_transform(items("ExtendedProperties"),
            lambda p: {name: json_extract_string(p, '$.Name'), value: json_extract_string(p, '$.Value')}) AS extended
    FROM read_json($sign_ins_unified_audit,
        format = 'newline_delimited', records = true, ignore_errors = true, columns = {
        "Id": 'VARCHAR',
        "CreationTime": 'VARCHAR',
        "Operation": 'VARCHAR',
        "ApplicationId": 'VARCHAR',
        "UserKey": 'VARCHAR',
        "UserId": 'VARCHAR',
        "ErrorNumber": 'VARCHAR',
        "LogonError": 'VARCHAR',
        "ClientIP": 'VARCHAR',
        "ActorIpAddress": 'VARCHAR',
        "ObjectId": 'VARCHAR',
        "InterSystemsId": 'VARCHAR',
        "IntraSystemId": 'VARCHAR',
        "Actor": 'JSON',
        "Target": 'JSON',
        "ExtendedProperties": 'JSON'
    })
)

SELECT
    -- IntraSystemId is the id the sign-in logs give the same event
    coalesce(guid("IntraSystemId"), guid("Id"), md5(concat_ws('|', "CreationTime", "Operation", "UserId",
        "ApplicationId", "ClientIP"))) AS sign_in_id,
    to_utc("CreationTime") AS created_at,
    guid("ApplicationId") AS app_id,
    CAST(NULL AS VARCHAR) AS app_name,
    CAST(NULL AS VARCHAR) AS service_principal_id,
    CAST(NULL AS VARCHAR) AS service_principal_name,
    coalesce(
        CASE
            WHEN regexp_full_match("UserKey", '[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}') THEN guid("UserKey")
        END,
        filled(lower("UserId"))
    ) AS user_id,
    CASE WHEN contains("UserId", '@') THEN lower("UserId") END AS user_principal_name,
    -- the unified audit log does not say whether anybody sat at the keyboard
    'unknown' AS sign_in_type,
    coalesce(
        TRY_CAST("ErrorNumber" AS INTEGER),
        CASE WHEN "Operation" = 'UserLoggedIn' THEN 0 END
    ) AS error_code,
    filled("LogonError") AS failure_reason,
    coalesce(filled("ClientIP"), filled("ActorIpAddress")) AS ip_address,
    CAST(NULL AS VARCHAR) AS country,
    CAST(NULL AS VARCHAR) AS city,
    CAST(NULL AS VARCHAR) AS asn,
    filled(list_filter(extended, lambda p: p.name = 'UserAgent')[1].value) AS user_agent,
    CAST(NULL AS VARCHAR) AS client_app,
    guid(nullif("ObjectId", 'Unknown')) AS resource_id,
    CAST(NULL AS VARCHAR) AS resource_name,
    CAST(NULL AS VARCHAR) AS credential_key_id,
    CAST(NULL AS VARCHAR) AS credential_type,
    guid("InterSystemsId") AS correlation_id,
    CAST(NULL AS VARCHAR) AS token_id,
    CAST(NULL AS VARCHAR) AS risk_level,
    CAST(NULL AS VARCHAR) AS risk_state,
    CAST(NULL AS VARCHAR) AS authentication_requirement,
    CAST(NULL AS VARCHAR) AS authentication_protocol,
    CAST(NULL AS VARCHAR) AS conditional_access_status,
    CAST(NULL AS VARCHAR) AS device_id,
    CAST(NULL AS VARCHAR) AS device_trust_type,
    CAST(NULL AS VARCHAR) AS network_location,
    filled(list_filter(extended, lambda p: p.name = 'RequestType')[1].value) AS request_type,
    'unified_audit' AS shape
FROM records
