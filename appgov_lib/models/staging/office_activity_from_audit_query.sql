-- grain: record of an audit search; `received` says how often it came
-- source: stg_audit_records, every workload but AzureActiveDirectory; the data has the form of the unified audit log
WITH typed AS (
    SELECT
        *,
        json_transform(audit_data, '{
            "ResultStatus": "VARCHAR",
            "UserId": "VARCHAR",
            "UserType": "VARCHAR",
            "ClientIP": "VARCHAR",
            "ClientIPAddress": "VARCHAR",
            "ActorIpAddress": "VARCHAR",
            "UserAgent": "VARCHAR",
            "ClientInfoString": "VARCHAR",
            "ObjectId": "VARCHAR",
            "Item": "JSON",
            "Folders": "JSON",
            "AffectedItems": "JSON",
            "FileSizeBytes": "VARCHAR",
            "SizeInBytes": "VARCHAR",
            "OperationCount": "VARCHAR",
            "OperationProperties": "JSON",
            "Parameters": "JSON"
        }') AS data
    FROM stg_audit_records
    WHERE log = 'office_activity'
),

records AS (
    SELECT
        *,
        -- MailItemsAccessed may list every message read with its size
        list_transform(
            flatten(list_transform(items(data."Folders"), lambda f: items(json_extract(f, '$.FolderItems')))),
            lambda m: TRY_CAST(json_extract_string(m, '$.SizeInBytes') AS BIGINT)
        ) AS message_sizes,
        list_transform(items(data."AffectedItems"),
            lambda i: TRY_CAST(json_extract_string(i, '$.SizeInBytes') AS BIGINT)) AS affected_sizes,
        TRY_CAST(data."Item" ->> '$.SizeInBytes' AS BIGINT) AS item_size,
        coalesce(filled(data."ClientIP"), filled(data."ClientIPAddress"), filled(data."ActorIpAddress"), ip_address)
            AS address,
        -- the search puts the account into one of three fields
        coalesce(filled(lower(data."UserId")), user_principal_name, user_id) AS account
    FROM typed
)

SELECT
    record_id,
    occurred_at,
    operation,
    service AS workload,
    app_id,
    -- System, Application and ServicePrincipal accounts are nobody
    CASE
        WHEN coalesce(data."UserType", '0') NOT IN ('4', '5', '6')
            AND coalesce(lower(user_type), '') NOT IN ('system', 'application', 'serviceprincipal')
            THEN account
    END AS user_id,
    CASE WHEN contains(account, '@') THEN account END AS user_principal_name,
    -- '18.159.234.121:30395' and '[2603:1036::5]:1672' carry a port
    CASE
        WHEN starts_with(address, '[') THEN regexp_extract(address, '^\[([^\]]+)\]', 1)
        WHEN regexp_full_match(address, '[0-9.]+:[0-9]+') THEN split_part(address, ':', 1)
        ELSE address
    END AS ip_address,
    coalesce(filled(data."UserAgent"), filled(data."ClientInfoString")) AS user_agent,
    coalesce(filled(data."ObjectId"), object_id) AS object_id,
    CASE
        WHEN lower(data."ResultStatus") IN ('success', 'succeeded', 'true') THEN 'success'
        WHEN lower(data."ResultStatus") IN ('failure', 'failed', 'false') THEN 'failure'
        ELSE 'unknown'
    END AS result,
    -- sums of nothing are NULL: no size known is not zero bytes
    coalesce(
        TRY_CAST(list_sum(list_filter(message_sizes, lambda n: n >= 0)) AS BIGINT),
        CASE WHEN item_size >= 0 THEN item_size END,
        TRY_CAST(list_sum(list_filter(affected_sizes, lambda n: n >= 0)) AS BIGINT),
        CASE WHEN TRY_CAST(data."FileSizeBytes" AS BIGINT) >= 0 THEN TRY_CAST(data."FileSizeBytes" AS BIGINT) END,
        CASE WHEN TRY_CAST(data."SizeInBytes" AS BIGINT) >= 0 THEN TRY_CAST(data."SizeInBytes" AS BIGINT) END
    ) AS bytes,
    office_items(operation, message_sizes, affected_sizes, data."OperationCount", data."OperationProperties") AS items,
    office_throttled(operation, data."OperationProperties") AS is_throttled,
    office_forwards(operation, data."Parameters", data."OperationProperties") AS forwards_to,
    'audit_query' AS shape,
    copies AS received
FROM records
