-- grain: record as received (duplicates included)
-- source: Log Analytics table SecurityAlert, exported as CSV or NDJSON
WITH rows_read AS (
    SELECT
        *,
        items(TRY_CAST("Entities" AS JSON)) AS entity_list,
        replace(coalesce("TimeGenerated [UTC]", "TimeGenerated", "StartTimeUtc"), chr(8239), ' ') AS written_time,
        replace(coalesce("EndTime [UTC]", "EndTime", "EndTimeUtc"), chr(8239), ' ') AS last_time
    FROM read_json($security_alerts_log_analytics,
        format = 'newline_delimited', records = true, ignore_errors = true, columns = {
        "SystemAlertId": 'VARCHAR',
        "VendorOriginalId": 'VARCHAR',
        "TimeGenerated": 'VARCHAR',
        "TimeGenerated [UTC]": 'VARCHAR',
        "StartTimeUtc": 'VARCHAR',
        "EndTime": 'VARCHAR',
        "EndTime [UTC]": 'VARCHAR',
        "EndTimeUtc": 'VARCHAR',
        "DisplayName": 'VARCHAR',
        "AlertDisplayName": 'VARCHAR',
        "AlertName": 'VARCHAR',
        "AlertSeverity": 'VARCHAR',
        "Severity": 'VARCHAR',
        "Status": 'VARCHAR',
        "AlertType": 'VARCHAR',
        "ProductName": 'VARCHAR',
        "ProviderName": 'VARCHAR',
        "AlertLink": 'VARCHAR',
        "Techniques": 'VARCHAR',
        "Entities": 'VARCHAR'
    })
),

records AS (
    SELECT
        *,
        -- only an OAuth app counts: the id of a cloud application is a catalogue number, hosts and processes are none
        list_filter(entity_list, lambda e: lower(json_extract_string(e, '$.Type')) IN
            ('oauth-application', 'oauthapplication', 'service-principal')) AS app_entities,
        app_entities[1] AS app_entity,
        list_filter(entity_list, lambda e: lower(json_extract_string(e, '$.Type')) = 'account')[1] AS account_entity
    FROM rows_read
)

SELECT
    coalesce(filled("SystemAlertId"), filled("VendorOriginalId"), md5(concat_ws('|', written_time, "DisplayName",
        "AlertDisplayName", "AlertName", "Entities"))) AS alert_id,
    coalesce(
        to_utc(written_time),
        TRY_STRPTIME(written_time, ['%-m/%-d/%Y, %-I:%M:%S.%g %p', '%-m/%-d/%Y, %-I:%M:%S %p'])
    ) AS created_at,
    CAST(NULL AS TIMESTAMP) AS last_updated_at,
    coalesce(
        to_utc(last_time),
        TRY_STRPTIME(last_time, ['%-m/%-d/%Y, %-I:%M:%S.%g %p', '%-m/%-d/%Y, %-I:%M:%S %p'])
    ) AS last_activity_at,
    CAST(NULL AS VARCHAR) AS incident_id,
    CAST(NULL AS VARCHAR) AS alert_policy_id,
    coalesce(filled("DisplayName"), filled("AlertDisplayName"), filled("AlertName")) AS title,
    filled(lower(coalesce("AlertSeverity", "Severity"))) AS severity,
    filled(lower("Status")) AS status,
    CAST(NULL AS VARCHAR) AS classification,
    CAST(NULL AS VARCHAR) AS determination,
    filled("AlertType") AS category,
    coalesce(filled("ProductName"), filled("ProviderName")) AS service_source,
    filled("ProviderName") AS detection_source,
    guid(coalesce(app_entity ->> '$.OAuthAppId', app_entity ->> '$.AppId')) AS app_id,
    guid(coalesce(app_entity ->> '$.ServicePrincipalId', app_entity ->> '$.ObjectId')) AS service_principal_id,
    CASE WHEN json_type(TRY_CAST("Entities" AS JSON)) = 'ARRAY' THEN list_sort(list_distinct(list_filter(
        list_transform(app_entities,
            lambda e: guid(coalesce(json_extract_string(e, '$.OAuthAppId'), json_extract_string(e, '$.AppId')))),
        lambda a: regexp_full_match(a, '[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}')
    ))) END AS evidence_app_ids,
    guid(account_entity ->> '$.AadUserId') AS user_id,
    filled("AlertLink") AS web_url,
    texts(TRY_CAST("Techniques" AS JSON)) AS mitre,
    'log_analytics' AS shape
FROM records
