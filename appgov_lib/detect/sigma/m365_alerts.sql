-- grain: alert or Exchange operation, as Sigma rules for "threat_management", "threat_detection", "exchange" look at it
-- source: stg_security_alerts, stg_office_activity
SELECT
    alert_id AS event_id,
    created_at AS happened_at,
    user_id AS actor_name,
    title AS target_name,
    CASE WHEN service_principal_id IS NULL THEN CAST([] AS VARCHAR[]) ELSE [service_principal_id] END AS object_ids,
    CASE WHEN app_id IS NULL THEN CAST([] AS VARCHAR[]) ELSE [app_id] END AS app_ids,
    title AS activity,
    -- where the alerts of these rules came from before they moved to Microsoft Defender
    'SecurityComplianceCenter' AS event_source,
    title AS event_name,
    'success' AS result
FROM stg_security_alerts
WHERE created_at >= CAST($as_of AS DATE) - CAST($days AS INTEGER) + 1
    AND created_at < CAST($as_of AS DATE) + 1
UNION ALL BY NAME
SELECT
    record_id AS event_id,
    occurred_at AS happened_at,
    coalesce(user_principal_name, user_id) AS actor_name,
    object_id AS target_name,
    CAST([] AS VARCHAR[]) AS object_ids,
    CASE WHEN app_id IS NULL THEN CAST([] AS VARCHAR[]) ELSE [app_id] END AS app_ids,
    operation AS activity,
    workload AS event_source,
    operation AS event_name,
    CASE WHEN lower(result) IN ('true', 'success', 'succeeded', 'partiallysucceeded') THEN 'success' ELSE 'failed' END
        AS result
FROM stg_office_activity
WHERE occurred_at >= CAST($as_of AS DATE) - CAST($days AS INTEGER) + 1
    AND occurred_at < CAST($as_of AS DATE) + 1
