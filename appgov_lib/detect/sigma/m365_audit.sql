-- grain: record of the unified audit log, as Sigma rules for the Microsoft 365 service "audit" look at it
-- source: stg_office_activity, and the sign-ins that were read from the unified audit log
SELECT
    record_id AS event_id,
    occurred_at AS happened_at,
    coalesce(user_principal_name, user_id) AS actor_name,
    object_id AS target_name,
    CAST([] AS VARCHAR[]) AS object_ids,
    CASE WHEN app_id IS NULL THEN CAST([] AS VARCHAR[]) ELSE [app_id] END AS app_ids,
    operation AS activity,
    operation,
    workload,
    app_id,
    object_id,
    result,
    ip_address,
    user_agent,
    user_principal_name,
    CAST(NULL AS VARCHAR) AS request_type
FROM stg_office_activity
WHERE occurred_at >= CAST($as_of AS DATE) - CAST($days AS INTEGER) + 1
    AND occurred_at < CAST($as_of AS DATE) + 1
UNION ALL BY NAME
SELECT
    sign_in_id AS event_id,
    created_at AS happened_at,
    user_principal_name AS actor_name,
    resource_id AS target_name,
    CAST([] AS VARCHAR[]) AS object_ids,
    CASE WHEN app_id IS NULL THEN CAST([] AS VARCHAR[]) ELSE [app_id] END AS app_ids,
    CASE WHEN error_code = 0 THEN 'UserLoggedIn' ELSE 'UserLoginFailed' END AS activity,
    CASE WHEN error_code = 0 THEN 'UserLoggedIn' ELSE 'UserLoginFailed' END AS operation,
    'AzureActiveDirectory' AS workload,
    app_id,
    resource_id AS object_id,
    CASE WHEN error_code = 0 THEN 'Success' ELSE 'Failed' END AS result,
    ip_address,
    user_agent,
    user_principal_name,
    request_type
FROM stg_sign_ins
WHERE shape = 'unified_audit'
    AND created_at >= CAST($as_of AS DATE) - CAST($days AS INTEGER) + 1
    AND created_at < CAST($as_of AS DATE) + 1
