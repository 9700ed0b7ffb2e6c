-- grain: audit event x changed property, as Sigma rules for the Azure service "auditlogs" look at it
-- source: stg_directory_audits
SELECT
    a.audit_id AS event_id,
    a.activity_at AS happened_at,
    a.actor_name,
    a.target_name,
    list_concat(a.target_ids, [a.actor_id]) AS object_ids,
    CASE WHEN a.actor_app_id IS NULL THEN CAST([] AS VARCHAR[]) ELSE [a.actor_app_id] END AS app_ids,
    a.activity,
    a.category,
    a.logged_by_service,
    CASE a.result WHEN 'success' THEN 'Success' WHEN 'failure' THEN 'Failure' END AS result,
    a.result_reason,
    a.target_type,
    CAST(a.targets AS VARCHAR) AS targets,
    CAST(a.details AS VARCHAR) AS details,
    -- older exports had one text of everything; rules that look into "properties.message" mean it
    concat_ws(' ', a.activity, a.result_reason, CAST(a.targets AS VARCHAR), CAST(a.details AS VARCHAR)) AS message,
    changed.change ->> '$.displayName' AS changed_property,
    changed.change ->> '$.oldValue' AS old_value,
    changed.change ->> '$.newValue' AS new_value
FROM stg_directory_audits AS a
LEFT JOIN LATERAL (
    SELECT unnest(flatten(list_transform(
        CAST(CASE WHEN json_type(a.targets) = 'ARRAY' THEN a.targets END AS JSON[]),
        lambda t: coalesce(CAST(CASE WHEN json_type(t, '$.modifiedProperties') = 'ARRAY'
            THEN t -> '$.modifiedProperties' END AS JSON[]), CAST([] AS JSON[]))
    ))) AS change
) AS changed ON true
WHERE a.activity_at >= CAST($as_of AS DATE) - CAST($days AS INTEGER) + 1
    AND a.activity_at < CAST($as_of AS DATE) + 1
