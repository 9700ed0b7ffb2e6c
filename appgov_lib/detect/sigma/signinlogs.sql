-- grain: sign-in, as Sigma rules for the Azure service "signinlogs" look at it
-- source: stg_sign_ins
SELECT
    sign_in_id AS event_id,
    created_at AS happened_at,
    coalesce(user_principal_name, service_principal_name) AS actor_name,
    resource_name AS target_name,
    CASE WHEN service_principal_id IS NULL THEN CAST([] AS VARCHAR[]) ELSE [service_principal_id] END AS object_ids,
    CASE WHEN app_id IS NULL THEN CAST([] AS VARCHAR[]) ELSE [app_id] END AS app_ids,
    'Sign-ins' AS activity,
    error_code,
    CASE WHEN error_code = 0 THEN 'Success' WHEN error_code IS NOT NULL THEN 'Failure' END AS result,
    failure_reason,
    app_id,
    app_name,
    user_id,
    user_principal_name,
    service_principal_name,
    ip_address,
    country,
    city,
    user_agent,
    client_app,
    resource_id,
    resource_name,
    risk_level,
    risk_state,
    authentication_requirement,
    conditional_access_status,
    -- the log writes nothing where the device is not known; a sign-in of a service principal has none
    CASE WHEN user_id IS NOT NULL THEN coalesce(device_id, '') END AS device_id,
    CASE WHEN user_id IS NOT NULL THEN coalesce(device_trust_type, '') END AS device_trust_type,
    network_location,
    -- rules name the protocol in words
    CASE authentication_protocol
        WHEN 'deviceCode' THEN 'Device Code'
        WHEN 'ropc' THEN 'ROPC'
        ELSE authentication_protocol
    END AS message
FROM stg_sign_ins
WHERE created_at >= CAST($as_of AS DATE) - CAST($days AS INTEGER) + 1
    AND created_at < CAST($as_of AS DATE) + 1
