-- grain: service principal
-- source: app_identity, app_grant_summary, app_access_summary, coverage
-- What an app may do, as the inventory says it: 0 and 'none' only where the lists were read to their end, and no kind or
-- level that an unread list could still raise.
WITH readable AS (
    SELECT
        bool_and(status = 'complete') FILTER (source IN ('delegated_grants', 'app_role_assignments')) AS grants,
        bool_and(status = 'complete') FILTER (source = 'directory_role_assignments') AS roles
    FROM coverage
),

held AS (
    SELECT
        i.service_principal_id,
        r.grants AS grants_read,
        r.roles AS roles_read,
        CASE WHEN r.grants THEN 0 END AS nothing,
        r.grants AND coalesce(x.unknown_resource_count, 0) = 0 AS apis_known,
        CAST(coalesce(g.delegated_count, 0) > 0 AS INTEGER) + CAST(coalesce(g.application_count, 0) > 0 AS INTEGER)
            + CAST(coalesce(len(g.directory_roles), 0) > 0 AS INTEGER) AS kinds_of_access,
        g.* EXCLUDE (service_principal_id),
        x.* EXCLUDE (service_principal_id)
    FROM app_identity AS i
    CROSS JOIN readable AS r
    LEFT JOIN app_grant_summary AS g ON g.service_principal_id = i.service_principal_id
    LEFT JOIN app_access_summary AS x ON x.service_principal_id = i.service_principal_id
)

SELECT
    service_principal_id,
    CASE
        WHEN kinds_of_access > 1 THEN 'mixed'
        WHEN grants_read IS NOT TRUE THEN NULL
        WHEN delegated_count > 0 THEN 'delegated'
        WHEN application_count > 0 THEN 'application'
        WHEN len(directory_roles) > 0 THEN 'entra_roles'
        ELSE 'none'
    END AS permission_type,
    CASE
        WHEN has_admin_consent AND has_user_consent THEN 'mixed'
        WHEN grants_read IS NOT TRUE THEN NULL
        WHEN has_admin_consent THEN 'admin'
        WHEN has_user_consent THEN 'user'
        ELSE 'none'
    END AS consent_type,
    coalesce(consented_users, nothing) AS consented_users,
    coalesce(permission_count, nothing) AS permission_count,
    coalesce(delegated_count, nothing) AS delegated_count,
    coalesce(application_count, nothing) AS application_count,
    coalesce(high_privilege_count, nothing) AS high_privilege_count,
    coalesce(unused_permission_count, nothing) AS unused_permission_count,
    coalesce(permission_usage, CASE WHEN grants_read THEN 'none' END) AS permission_usage,
    CASE WHEN graph_permission_count > 0 THEN true WHEN apis_known THEN false END AS graph_api_access,
    CASE WHEN other_permission_count > 0 THEN true WHEN apis_known THEN false END AS other_api_access,
    coalesce(api_names, CASE WHEN grants_read THEN CAST([] AS VARCHAR[]) END) AS api_names,
    CASE
        WHEN high_privilege_count > 0 OR has_privileged_role THEN 'high'
        WHEN grants_read IS NOT TRUE THEN NULL
        WHEN medium_privilege_count > 0 OR len(directory_roles) > 0 THEN 'medium'
        WHEN permission_count > 0 THEN 'low'
        ELSE 'none'
    END AS privilege_level,
    coalesce(directory_roles, CASE WHEN roles_read THEN CAST([] AS VARCHAR[]) END) AS directory_roles
FROM held
ORDER BY service_principal_id
