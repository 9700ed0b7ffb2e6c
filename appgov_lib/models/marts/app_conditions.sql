-- grain: service principal
-- source: app_inventory, app_permissions, condition_days, condition_users, covered_days, source_readings, coverage
-- Every condition of a policy as a column of one row, so that a rule needs no join. NULL: not known.
WITH graph AS (
    SELECT service_principal_id FROM stg_service_principals
    WHERE app_id = '00000003-0000-0000-c000-000000000000'
),

held AS (
    SELECT
        p.service_principal_id,
        list_sort(list(p.permission) FILTER (p.permission_type = 'application')) AS application_permissions,
        list_sort(list(p.permission) FILTER (p.permission_type = 'delegated')) AS delegated_permissions
    FROM app_permissions AS p
    SEMI JOIN graph AS g ON g.service_principal_id = p.resource_id
    GROUP BY p.service_principal_id
),

read AS (
    SELECT
        count(*) FILTER (source = 'api_activity' AND day > CAST($as_of AS DATE) - 30) > 0 AS any_day,
        count(*) FILTER (source = 'api_activity' AND day = CAST($as_of AS DATE)) = 1 AS last_day,
        count(*) FILTER (source = 'api_activity' AND day = CAST($as_of AS DATE) - 1) = 1 AS day_before,
        count(*) FILTER (source = 'api_activity' AND day > CAST($as_of AS DATE) - 7) = 7 AS last_7_days,
        count(*) FILTER (source = 'directory_audits' AND is_complete AND day > CAST($as_of AS DATE) - 90) = 90
            AS consents_90_days
    FROM covered_days
    WHERE day BETWEEN CAST($as_of AS DATE) - 89 AND CAST($as_of AS DATE)
),

-- who consented 90 days ago is known from the audit log of those days, or from a reading that old
old_reading AS (
    SELECT count(*) > 0 AS is_there
    FROM source_readings
    WHERE source = 'delegated_grants' AND read_at < CAST($as_of AS DATE) - 88
),

states AS (
    SELECT
        coalesce(bool_or(source = 'delegated_grants' AND status = 'complete'), false) AS grants,
        coalesce(bool_or(source = 'app_role_assignments' AND status = 'complete'), false) AS assignments,
        coalesce(bool_or(source = 'directory_role_assignments' AND status = 'complete'), false) AS roles,
        coalesce(bool_or(source = 'service_principal_sign_in_activities' AND status = 'complete'), false) AS last_uses
    FROM coverage
)

SELECT
    i.service_principal_id,
    i.app_id,
    i.display_name,
    i.is_in_scope,
    date_diff('day', CAST(coalesce(i.registered_at, i.created_at) AS DATE), CAST($as_of AS DATE))
        AS days_since_registration,
    i.risk_score,
    i.certification,
    i.publisher_verified,
    CASE WHEN s.assignments THEN coalesce(h.application_permissions, CAST([] AS VARCHAR[])) END
        AS application_permissions,
    CASE WHEN s.grants THEN coalesce(h.delegated_permissions, CAST([] AS VARCHAR[])) END AS delegated_permissions,
    CASE
        WHEN i.privilege_level = 'high' THEN true
        WHEN s.grants AND s.assignments AND s.roles THEN false
    END AS is_highly_privileged,
    CASE
        WHEN i.permission_usage = 'some_unused' THEN true
        WHEN i.permission_usage IN ('all_used', 'none') AND s.grants AND s.assignments THEN false
    END AS is_overprivileged,
    CASE WHEN i.other_api_access OR (s.grants AND s.assignments) THEN coalesce(i.other_api_access, false) END
        AS non_graph_permissions,
    CASE WHEN d.app_id IS NOT NULL THEN d.max_bytes WHEN r.any_day THEN 0 END AS max_bytes_per_day_30d,
    CASE WHEN r.last_day AND r.day_before AND d.bytes_day_before > 0
        THEN round(100.0 * (d.bytes_last_day - d.bytes_day_before) / d.bytes_day_before, 1) END
        AS bytes_trend_percent_day,
    CASE WHEN d.app_id IS NOT NULL THEN d.max_calls WHEN r.any_day THEN 0 END AS max_calls_per_day_30d,
    CASE WHEN r.last_day THEN coalesce(d.calls_last_day, 0) END AS calls_last_day,
    CASE WHEN r.last_day AND r.day_before AND d.calls_day_before > 0
        THEN round(100.0 * (d.calls_last_day - d.calls_day_before) / d.calls_day_before, 1) END AS call_trend_percent,
    CASE WHEN s.grants THEN coalesce(u.users, 0) END AS consenting_users,
    CASE WHEN s.grants AND (r.consents_90_days OR o.is_there) THEN coalesce(u.users_90d_ago, 0) END
        AS consenting_users_90d_ago,
    CASE WHEN s.grants AND (r.consents_90_days OR o.is_there) AND u.users_90d_ago > 0
        THEN round(100.0 * (u.users - u.users_90d_ago) / u.users_90d_ago, 1) END AS consenting_users_increase_90d,
    CASE WHEN s.grants THEN coalesce(u.user_names, CAST([] AS VARCHAR[])) END AS consenting_user_names,
    CASE WHEN s.grants AND s.roles THEN coalesce(u.role_names, CAST([] AS VARCHAR[])) END AS consenting_user_roles,
    i.sensitivity_label_ids,
    CASE WHEN r.any_day THEN coalesce(i.services, CAST([] AS VARCHAR[])) ELSE i.services END AS services_accessed,
    CASE WHEN r.last_7_days AND d.calls_7d > 0 THEN round(100.0 * d.errors_7d / d.calls_7d, 1) END AS error_rate_7d,
    i.days_since_last_use,
    -- one that no source has seen is unused since it came, where the report that would show it was read
    CASE WHEN i.last_used_at IS NOT NULL THEN i.days_since_last_use
        WHEN s.last_uses THEN date_diff('day', CAST(i.created_at AS DATE), CAST($as_of AS DATE)) END AS days_unused,
    i.app_origin,
    date_diff('day', CAST(i.credential_unused_since AS DATE), CAST($as_of AS DATE)) AS credential_unused_days,
    date_diff('day', CAST($as_of AS DATE), CAST(i.next_expiry_at AS DATE)) AS days_to_next_expiry,
    i.expired_credential_count
FROM app_inventory AS i
CROSS JOIN read AS r
CROSS JOIN old_reading AS o
CROSS JOIN states AS s
LEFT JOIN held AS h ON h.service_principal_id = i.service_principal_id
LEFT JOIN condition_days AS d ON d.app_id = i.app_id
LEFT JOIN condition_users AS u ON u.service_principal_id = i.service_principal_id
ORDER BY i.service_principal_id
