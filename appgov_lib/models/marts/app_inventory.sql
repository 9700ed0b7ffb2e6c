-- grain: service principal
-- source: app_identity, app_grant_summary, app_last_use, app_owners, app_credentials, app_risk, coverage
-- What was not readable is NULL; 0 and 'none' are said only where the source was read.
WITH readable AS (
    SELECT
        bool_and(status IN ('complete', 'partial')) FILTER (source IN ('delegated_grants', 'app_role_assignments'))
            AS grants,
        bool_and(status IN ('complete', 'partial')) FILTER (source = 'directory_role_assignments') AS roles,
        bool_and(status IN ('complete', 'partial')) FILTER (source = 'service_principal_owners') AS sp_owners,
        bool_and(status IN ('complete', 'partial')) FILTER (source = 'application_owners') AS application_owners,
        bool_and(status IN ('complete', 'partial')) FILTER (source IN ('applications', 'federated_credentials'))
            AS credentials
    FROM coverage
),

api_cover AS (
    SELECT count(*) > 0 AS has_days
    FROM covered_days
    WHERE source = 'api_activity' AND day BETWEEN CAST($as_of AS DATE) - 29 AND CAST($as_of AS DATE)
),

owners AS (
    SELECT service_principal_id, count(DISTINCT owner_id) AS owner_count
    FROM app_owners
    GROUP BY service_principal_id
),

credentials AS (
    SELECT
        service_principal_id,
        count(*) AS credential_count,
        min(ends_at) FILTER (days_to_expiry >= 0) AS next_expiry_at
    FROM app_credentials
    WHERE service_principal_id IS NOT NULL
    GROUP BY service_principal_id
)

SELECT
    i.service_principal_id,
    i.app_id,
    i.application_id,
    i.display_name,
    i.app_origin,
    i.is_first_party,
    i.service_principal_type,
    i.status,
    i.account_enabled,
    i.publisher_name,
    i.publisher_verified,
    CASE
        WHEN CAST(g.delegated_count > 0 AS INTEGER) + CAST(g.application_count > 0 AS INTEGER)
            + CAST(len(g.directory_roles) > 0 AS INTEGER) > 1 THEN 'mixed'
        WHEN g.delegated_count > 0 THEN 'delegated'
        WHEN g.application_count > 0 THEN 'application'
        WHEN len(g.directory_roles) > 0 THEN 'entra_roles'
        WHEN r.grants THEN 'none'
    END AS permission_type,
    CASE
        WHEN g.has_admin_consent AND g.has_user_consent THEN 'mixed'
        WHEN g.has_admin_consent THEN 'admin'
        WHEN g.has_user_consent THEN 'user'
        WHEN r.grants THEN 'none'
    END AS consent_type,
    coalesce(g.consented_users, CASE WHEN r.grants THEN 0 END) AS consented_users,
    coalesce(g.permission_count, CASE WHEN r.grants THEN 0 END) AS permission_count,
    coalesce(g.high_privilege_count, CASE WHEN r.grants THEN 0 END) AS high_privilege_count,
    coalesce(g.unused_permission_count, CASE WHEN r.grants THEN 0 END) AS unused_permission_count,
    CASE
        WHEN g.high_privilege_count > 0 OR g.has_privileged_role THEN 'high'
        WHEN g.medium_privilege_count > 0 OR len(g.directory_roles) > 0 THEN 'medium'
        WHEN g.permission_count > 0 THEN 'low'
        WHEN r.grants THEN 'none'
    END AS privilege_level,
    coalesce(g.directory_roles, CASE WHEN r.roles THEN CAST([] AS VARCHAR[]) END) AS directory_roles,
    coalesce(
        o.owner_count,
        CASE WHEN r.sp_owners AND (i.application_id IS NULL OR r.application_owners) THEN 0 END
    ) AS owner_count,
    coalesce(c.credential_count, CASE WHEN r.credentials OR i.app_origin = 'external' THEN 0 END) AS credential_count,
    c.next_expiry_at,
    i.created_at,
    u.last_sign_in_at,
    u.last_api_call_at,
    u.last_used_at,
    u.last_used_source,
    u.days_since_last_use,
    coalesce(u.calls_30d, CASE WHEN a.has_days THEN 0 END) AS calls_30d,
    CASE WHEN a.has_days AND coalesce(u.calls_30d, 0) = 0 THEN 0 ELSE u.bytes_30d END AS bytes_30d,
    coalesce(u.users_30d, CASE WHEN a.has_days THEN 0 END) AS users_30d,
    coalesce(u.services, CASE WHEN a.has_days THEN CAST([] AS VARCHAR[]) END) AS services,
    i.reply_urls,
    i.assignment_required,
    k.risk_score,
    k.risk_parts
FROM app_identity AS i
CROSS JOIN readable AS r
CROSS JOIN api_cover AS a
LEFT JOIN app_grant_summary AS g ON g.service_principal_id = i.service_principal_id
LEFT JOIN app_last_use AS u ON u.app_id = i.app_id
LEFT JOIN owners AS o ON o.service_principal_id = i.service_principal_id
LEFT JOIN credentials AS c ON c.service_principal_id = i.service_principal_id
LEFT JOIN app_risk AS k ON k.service_principal_id = i.service_principal_id
ORDER BY i.service_principal_id
