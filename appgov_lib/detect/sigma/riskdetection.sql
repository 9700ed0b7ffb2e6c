-- grain: risk detection about a service principal, as Sigma rules for the Azure service "riskdetection" look at it
-- source: stg_service_principal_risk_detections; risk of users is not read
SELECT
    detection_id AS event_id,
    coalesce(activity_at, detected_at) AS happened_at,
    display_name AS actor_name,
    activity AS target_name,
    [service_principal_id] AS object_ids,
    [app_id] AS app_ids,
    risk_event_type AS activity,
    risk_event_type,
    risk_level,
    risk_state,
    risk_detail,
    source,
    ip_address
FROM stg_service_principal_risk_detections
WHERE detected_at >= CAST($as_of AS DATE) - CAST($days AS INTEGER) + 1
    AND detected_at < CAST($as_of AS DATE) + 1
