-- grain: record as received (duplicates included)
-- source: unified audit log, every workload but AzureActiveDirectory (Management Activity API, Purview export)
WITH records AS (
    SELECT
        *,
        -- MailItemsAccessed may list every message read with its size
        list_transform(
            flatten(list_transform(items("Folders"), lambda f: items(json_extract(f, '$.FolderItems')))),
            lambda m: TRY_CAST(json_extract_string(m, '$.SizeInBytes') AS BIGINT)
        ) AS message_sizes,
        list_transform(items("AffectedItems"),
            lambda i: TRY_CAST(json_extract_string(i, '$.SizeInBytes') AS BIGINT)) AS affected_sizes,
        coalesce(filled("ClientIP"), filled("ClientIPAddress"), filled("ActorIpAddress")) AS address,
        coalesce(guid("ApplicationId"), guid("AppId")) AS named_app
    FROM read_json($office_activity_unified_audit,
        format = 'newline_delimited', records = true, ignore_errors = true, columns = {
        "Id": 'VARCHAR',
        "CreationTime": 'VARCHAR',
        "Operation": 'VARCHAR',
        "Workload": 'VARCHAR',
        "ResultStatus": 'VARCHAR',
        "UserId": 'VARCHAR',
        "UserType": 'VARCHAR',
        "ApplicationId": 'VARCHAR',
        "AppId": 'VARCHAR',
        "ClientAppId": 'VARCHAR',
        "AppAccessContext": 'JSON',
        "ClientIP": 'VARCHAR',
        "ClientIPAddress": 'VARCHAR',
        "ActorIpAddress": 'VARCHAR',
        "UserAgent": 'VARCHAR',
        "ClientInfoString": 'VARCHAR',
        "ObjectId": 'VARCHAR',
        "Item": 'JSON',
        "Folders": 'JSON',
        "AffectedItems": 'JSON',
        "FileSizeBytes": 'VARCHAR',
        "SizeInBytes": 'VARCHAR',
        "OperationCount": 'VARCHAR',
        "OperationProperties": 'JSON',
        "Parameters": 'JSON'
    })
)

SELECT
    coalesce(guid("Id"), md5(concat_ws('|', "CreationTime", "Operation", "UserId", "ObjectId", "AppId",
        address, "Item", "Folders"))) AS record_id,
    to_utc("CreationTime") AS occurred_at,
    filled(rtrim(trim("Operation"), '.')) AS operation,
    filled("Workload") AS workload,
    -- behind Graph and Exchange Online themselves stands the client that called them
    CASE
        WHEN named_app IS NULL
            OR named_app IN ('00000003-0000-0000-c000-000000000000', '00000002-0000-0ff1-ce00-000000000000')
            THEN coalesce(guid("ClientAppId"), guid("AppAccessContext" ->> '$.ClientAppId'), named_app)
        ELSE named_app
    END AS app_id,
    -- System, Application and ServicePrincipal accounts are nobody
    CASE WHEN coalesce("UserType", '0') NOT IN ('4', '5', '6') THEN filled(lower("UserId")) END AS user_id,
    CASE WHEN contains("UserId", '@') THEN lower("UserId") END AS user_principal_name,
    -- '18.159.234.121:30395' and '[2603:1036::5]:1672' carry a port
    CASE
        WHEN starts_with(address, '[') THEN regexp_extract(address, '^\[([^\]]+)\]', 1)
        WHEN regexp_full_match(address, '[0-9.]+:[0-9]+') THEN split_part(address, ':', 1)
        ELSE address
    END AS ip_address,
    coalesce(filled("UserAgent"), filled("ClientInfoString")) AS user_agent,
    filled("ObjectId") AS object_id,
    CASE
        WHEN lower("ResultStatus") IN ('success', 'succeeded', 'true') THEN 'success'
        WHEN lower("ResultStatus") IN ('failure', 'failed', 'false') THEN 'failure'
        ELSE 'unknown'
    END AS result,
    -- sums of nothing are NULL: no size known is not zero bytes
    coalesce(
        TRY_CAST(list_sum(list_filter(message_sizes, lambda n: n >= 0)) AS BIGINT),
        CASE WHEN TRY_CAST("Item" ->> '$.SizeInBytes' AS BIGINT) >= 0 THEN TRY_CAST("Item" ->> '$.SizeInBytes' AS BIGINT) END,
        TRY_CAST(list_sum(list_filter(affected_sizes, lambda n: n >= 0)) AS BIGINT),
        CASE WHEN TRY_CAST("FileSizeBytes" AS BIGINT) >= 0 THEN TRY_CAST("FileSizeBytes" AS BIGINT) END,
        CASE WHEN TRY_CAST("SizeInBytes" AS BIGINT) >= 0 THEN TRY_CAST("SizeInBytes" AS BIGINT) END
    ) AS bytes,
    office_items(filled(rtrim(trim("Operation"), '.')), message_sizes, affected_sizes, "OperationCount",
        "OperationProperties") AS items,
    office_throttled("Operation", "OperationProperties") AS is_throttled,
    office_forwards(filled(rtrim(trim("Operation"), '.')), "Parameters", "OperationProperties") AS forwards_to,
    'unified_audit' AS shape
FROM records
