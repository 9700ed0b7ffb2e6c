-- grain: activity of an app that Defender for Cloud Apps saw
-- source: advanced hunting, table CloudAppEvents, rows that name an OAuth app
WITH events AS (
    SELECT
        *,
        to_utc("Timestamp") AS occurred_at,
        coalesce(hunted("ReportId"), md5(concat_ws('|', "Timestamp", "ActionType", "OAuthAppId", "AccountObjectId",
            "ObjectId", "IPAddress"))) AS event_id
    FROM read_json($cloud_app_events_hunting,
        format = 'newline_delimited', records = true, ignore_errors = true, columns = {
        "Timestamp": 'VARCHAR',
        "ReportId": 'VARCHAR',
        "ActionType": 'VARCHAR',
        "ActivityType": 'VARCHAR',
        "Application": 'VARCHAR',
        "OAuthAppId": 'VARCHAR',
        "AccountObjectId": 'VARCHAR',
        "AccountDisplayName": 'VARCHAR',
        "AccountType": 'VARCHAR',
        "IsAdminOperation": 'VARCHAR',
        "IPAddress": 'VARCHAR',
        "CountryCode": 'VARCHAR',
        "City": 'VARCHAR',
        "UserAgent": 'VARCHAR',
        "ObjectName": 'VARCHAR',
        "ObjectType": 'VARCHAR',
        "ObjectId": 'VARCHAR',
        "AuditSource": 'VARCHAR',
        "AuditRecordId": 'VARCHAR',
        "SensitivityLabelId": 'VARCHAR'
    })
)

SELECT
    event_id,
    occurred_at,
    -- 'Consent to application.' ends with a full stop; other logs write it without
    filled(rtrim(trim(hunted("ActionType")), '.')) AS action,
    hunted("ActivityType") AS activity_type,
    hunted("Application") AS application,
    guid(hunted("OAuthAppId")) AS app_id,
    guid(hunted("AccountObjectId")) AS user_id,
    hunted("AccountDisplayName") AS user_name,
    hunted("AccountType") AS account_type,
    coalesce(TRY_CAST("IsAdminOperation" AS BOOLEAN), TRY_CAST("IsAdminOperation" AS DOUBLE) <> 0)
        AS is_admin_operation,
    hunted("IPAddress") AS ip_address,
    hunted("CountryCode") AS country,
    hunted("City") AS city,
    hunted("UserAgent") AS user_agent,
    hunted("ObjectName") AS object_name,
    hunted("ObjectType") AS object_type,
    hunted("ObjectId") AS object_id,
    hunted("AuditSource") AS audit_source,
    -- id of the same event in the unified audit log
    guid(hunted("AuditRecordId")) AS audit_record_id,
    guid(hunted("SensitivityLabelId")) AS sensitivity_label_id,
    count(*) OVER (PARTITION BY event_id) AS copies
FROM events
QUALIFY row_number() OVER (
    PARTITION BY event_id
    ORDER BY occurred_at, "OAuthAppId", "ActionType", "AccountObjectId", "ObjectId"
) = 1
ORDER BY occurred_at, event_id
