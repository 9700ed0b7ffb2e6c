-- grain: record as received (duplicates included)
-- source: Log Analytics table OfficeActivity, exported as CSV or NDJSON (nested values as objects or as JSON text)
WITH records AS (
    SELECT
        *,
        -- MailItemsAccessed may list every message read with its size
        list_transform(
            flatten(list_transform(
                items(TRY_CAST("Folders" AS JSON)),
                lambda f: items(json_extract(f, '$.FolderItems'))
            )),
            lambda m: TRY_CAST(json_extract_string(m, '$.SizeInBytes') AS BIGINT)
        ) AS message_sizes,
        list_transform(items(TRY_CAST("AffectedItems" AS JSON)),
            lambda i: TRY_CAST(json_extract_string(i, '$.SizeInBytes') AS BIGINT)) AS affected_sizes,
        TRY_CAST(TRY_CAST("Item" AS JSON) ->> '$.SizeInBytes' AS BIGINT) AS item_size,
        coalesce(filled("ClientIP"), filled("ClientIP_"), filled("Client_IPAddress")) AS address,
        coalesce(guid("AppId"), guid("AzureADAppId")) AS named_app,
        replace(coalesce("TimeGenerated [UTC]", "TimeGenerated"), chr(8239), ' ') AS written_time,
        coalesce(filled("UserId"), filled("UserId_")) AS account
    FROM read_json($office_activity_log_analytics,
        format = 'newline_delimited', records = true, ignore_errors = true, columns = {
        "OfficeId": 'VARCHAR',
        "SourceRecordId": 'VARCHAR',
        "TimeGenerated": 'VARCHAR',
        "TimeGenerated [UTC]": 'VARCHAR',
        "Operation": 'VARCHAR',
        "OfficeWorkload": 'VARCHAR',
        "ResultStatus": 'VARCHAR',
        "UserId": 'VARCHAR',
        "UserId_": 'VARCHAR',
        "UserType": 'VARCHAR',
        "AppId": 'VARCHAR',
        "AzureADAppId": 'VARCHAR',
        "ClientAppId": 'VARCHAR',
        "ClientIP": 'VARCHAR',
        "ClientIP_": 'VARCHAR',
        "Client_IPAddress": 'VARCHAR',
        "UserAgent": 'VARCHAR',
        "ClientInfoString": 'VARCHAR',
        "OfficeObjectId": 'VARCHAR',
        "Item": 'VARCHAR',
        "Folders": 'VARCHAR',
        "AffectedItems": 'VARCHAR',
        "OperationCount": 'VARCHAR',
        "OperationProperties": 'VARCHAR',
        "Parameters": 'VARCHAR'
    })
)

SELECT
    coalesce(guid("OfficeId"), guid("SourceRecordId"), md5(concat_ws('|', written_time, "Operation", account,
        "OfficeObjectId", "AppId", address, "Item", "Folders"))) AS record_id,
    coalesce(
        to_utc(written_time),
        TRY_STRPTIME(written_time, ['%-m/%-d/%Y, %-I:%M:%S.%g %p', '%-m/%-d/%Y, %-I:%M:%S %p'])
    ) AS occurred_at,
    filled(rtrim(trim("Operation"), '.')) AS operation,
    filled("OfficeWorkload") AS workload,
    -- behind Graph and Exchange Online themselves stands the client that called them
    CASE
        WHEN named_app IS NULL
            OR named_app IN ('00000003-0000-0000-c000-000000000000', '00000002-0000-0ff1-ce00-000000000000')
            THEN coalesce(guid("ClientAppId"), named_app)
        ELSE named_app
    END AS app_id,
    -- System, Application and ServicePrincipal accounts are nobody
    CASE
        WHEN lower(coalesce("UserType", '')) NOT IN ('system', 'application', 'serviceprincipal') THEN lower(account)
    END AS user_id,
    CASE WHEN contains(account, '@') THEN lower(account) END AS user_principal_name,
    -- '18.159.234.121:30395' and '[2603:1036::5]:1672' carry a port
    CASE
        WHEN starts_with(address, '[') THEN regexp_extract(address, '^\[([^\]]+)\]', 1)
        WHEN regexp_full_match(address, '[0-9.]+:[0-9]+') THEN split_part(address, ':', 1)
        ELSE address
    END AS ip_address,
    coalesce(filled("UserAgent"), filled("ClientInfoString")) AS user_agent,
    filled("OfficeObjectId") AS object_id,
    CASE
        WHEN lower("ResultStatus") IN ('success', 'succeeded', 'true') THEN 'success'
        WHEN lower("ResultStatus") IN ('failure', 'failed', 'false') THEN 'failure'
        ELSE 'unknown'
    END AS result,
    -- sums of nothing are NULL: no size known is not zero bytes
    coalesce(
        TRY_CAST(list_sum(list_filter(message_sizes, lambda n: n >= 0)) AS BIGINT),
        CASE WHEN item_size >= 0 THEN item_size END,
        TRY_CAST(list_sum(list_filter(affected_sizes, lambda n: n >= 0)) AS BIGINT)
    ) AS bytes,
    office_items(filled(rtrim(trim("Operation"), '.')), message_sizes, affected_sizes, "OperationCount",
        "OperationProperties") AS items,
    office_throttled("Operation", "OperationProperties") AS is_throttled,
    office_forwards(filled(rtrim(trim("Operation"), '.')), "Parameters", "OperationProperties") AS forwards_to,
    'log_analytics' AS shape
FROM records
