-- grain: record as received (duplicates included); of an audit search, record, `received` as often
-- source: unified audit log, workload AzureActiveDirectory without sign-ins; and stg_audit_records, in the same form
-- Actor and Target are lists of {ID, Type} in which one object occurs several times: 'User_<id>', '<id>', 'User',
-- its name (Type 1 or 5). Targets and details are rebuilt the way the other shapes write them.
WITH received_records AS (
    SELECT 'unified_audit' AS shape, 1 AS received, *
    FROM read_json($directory_audits_unified_audit,
        format = 'newline_delimited', records = true, ignore_errors = true, columns = {
        "Id": 'VARCHAR',
        "CreationTime": 'VARCHAR',
        "Operation": 'VARCHAR',
        "ResultStatus": 'VARCHAR',
        "UserId": 'VARCHAR',
        "ClientIP": 'VARCHAR',
        "ActorIpAddress": 'VARCHAR',
        "InterSystemsId": 'VARCHAR',
        "Actor": 'JSON',
        "Target": 'JSON',
        "ExtendedProperties": 'JSON',
        "ModifiedProperties": 'JSON'
    })
    UNION ALL BY NAME
    SELECT 'audit_query' AS shape, copies AS received, unnest(json_transform(audit_data, '{
        "ResultStatus": "VARCHAR", "UserId": "VARCHAR", "ClientIP": "VARCHAR", "ActorIpAddress": "VARCHAR",
        "InterSystemsId": "VARCHAR", "Actor": "JSON", "Target": "JSON", "ExtendedProperties": "JSON",
        "ModifiedProperties": "JSON"}')),
        record_id AS "Id", CAST(occurred_at AS VARCHAR) AS "CreationTime", operation AS "Operation"
    FROM stg_audit_records
    WHERE log = 'directory_audits'
),

rows_read AS (
    SELECT
        *,
        list_transform(items("Actor"), lambda a: json_extract_string(a, '$.ID')) AS actor_ids,
        list_transform(
            list_filter(items("Target"), lambda t: json_extract_string(t, '$.Type') = '2'),
            lambda t: json_extract_string(t, '$.ID')
        ) AS target_texts,
        list_transform(items("ExtendedProperties"),
            lambda p: {'key': json_extract_string(p, '$.Name'), 'value': json_extract_string(p, '$.Value')}) AS extended,
        -- Exchange items list plain names instead of {Name, OldValue, NewValue}
        list_transform(items("ModifiedProperties"), lambda p: {
            'displayName': CASE json_type(p) WHEN 'OBJECT' THEN json_extract_string(p, '$.Name') ELSE p ->> '$' END,
            'oldValue': filled(json_extract_string(p, '$.OldValue')),
            'newValue': filled(json_extract_string(p, '$.NewValue'))
        }) AS modified
    FROM received_records
),

records AS (
    SELECT
        *,
        -- 'ServicePrincipal_<guid>' says both what and which
        list_filter(actor_ids, lambda a: regexp_full_match(a, '(User|ServicePrincipal)_[^_ ]+')) AS actors,
        list_filter(target_texts, lambda t: regexp_full_match(t, '[A-Za-z]+_[^_ ]+')) AS named_targets,
        list_filter(target_texts, lambda t: regexp_full_match(t, '[0-9a-fA-F]{8}-[-0-9a-fA-F]{27}')) AS plain_targets,
        list_filter(items("Target"), lambda t: json_extract_string(t, '$.Type') = '1')[1] ->> '$.ID' AS target_label,
        list_filter(items("Target"), lambda t: json_extract_string(t, '$.Type') = '5')[1] ->> '$.ID' AS target_login,
        TRY_CAST(list_filter(extended, lambda p: p.key = 'additionalDetails')[1].value AS JSON) AS additional
    FROM rows_read
),

targeted AS (
    SELECT
        *,
        list_transform(
            list_concat(list_transform(named_targets, lambda t: regexp_extract(t, '_(.+)$', 1)), plain_targets),
            lambda t: guid(t)
        ) AS all_targets
    FROM records
)

SELECT
    coalesce(guid("Id"), md5(concat_ws('|', "CreationTime", "Operation", "UserId", "InterSystemsId",
        "Target", "ModifiedProperties"))) AS audit_id,
    to_utc("CreationTime") AS activity_at,
    filled(trim(rtrim(trim(replace("Operation", chr(8211), '-')), '.'))) AS activity,
    filled(list_filter(extended, lambda p: p.key = 'extendedAuditEventCategory')[1].value) AS category,
    CAST(NULL AS VARCHAR) AS operation_type,
    CASE
        WHEN lower("ResultStatus") IN ('success', 'succeeded', 'true') THEN 'success'
        WHEN lower("ResultStatus") IN ('failure', 'failed', 'false') THEN 'failure'
        ELSE 'unknown'
    END AS result,
    CAST(NULL AS VARCHAR) AS result_reason,
    guid(regexp_extract(actors[1], '_(.+)$', 1)) AS actor_id,
    CASE
        WHEN starts_with(actors[1], 'User_') THEN 'user'
        WHEN starts_with(actors[1], 'ServicePrincipal_') THEN 'service_principal'
        ELSE 'unknown'
    END AS actor_type,
    coalesce(
        CASE WHEN contains("UserId", '@') THEN lower("UserId") END,
        filled(list_filter(items("Actor"), lambda a: json_extract_string(a, '$.Type') = '1')[1] ->> '$.ID'),
        filled("UserId")
    ) AS actor_name,
    CAST(NULL AS VARCHAR) AS actor_app_id,
    coalesce(filled("ActorIpAddress"), filled("ClientIP")) AS actor_ip,
    -- the object itself first; the rest are app ids and the like
    list_filter(all_targets, lambda t, i: t IS NOT NULL AND list_position(all_targets, t) = i) AS target_ids,
    filled(coalesce(target_label, target_login)) AS target_name,
    nullif(regexp_extract(named_targets[1], '^([A-Za-z]+)_', 1), '') AS target_type,
    CAST([{
        'id': guid(regexp_extract(named_targets[1], '_(.+)$', 1)),
        'displayName': target_label,
        'type': regexp_extract(named_targets[1], '^([A-Za-z]+)_', 1),
        'userPrincipalName': target_login,
        'modifiedProperties': modified
    }] AS JSON) AS targets,
    CAST(list_concat(
        list_filter(extended, lambda p: p.key <> 'additionalDetails'),
        list_transform(coalesce(json_keys(additional), []), lambda k: {'key': k, 'value': additional ->> k})
    ) AS JSON) AS details,
    guid("InterSystemsId") AS correlation_id,
    CAST(NULL AS VARCHAR) AS logged_by_service,
    shape,
    received
FROM targeted
