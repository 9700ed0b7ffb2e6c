-- grain: service principal with permissions or Entra roles
-- source: app_permissions, stg_delegated_grants, stg_directory_role_assignments
WITH permissions AS (
    SELECT
        service_principal_id,
        count(*) AS permission_count,
        count(*) FILTER (permission_type = 'delegated') AS delegated_count,
        count(*) FILTER (permission_type = 'application') AS application_count,
        count(*) FILTER (privilege_level = 'high') AS high_privilege_count,
        count(*) FILTER (privilege_level = 'high' AND permission_type = 'application') AS high_application_count,
        count(*) FILTER (privilege_level = 'medium') AS medium_privilege_count,
        count(*) FILTER (usage = 'unused') AS unused_permission_count,
        count(*) FILTER (usage = 'unused' AND privilege_level = 'high') AS unused_high_count,
        bool_or(permission_type = 'application' OR consent_type = 'admin') AS has_admin_consent,
        bool_or(permission_type = 'delegated' AND consent_type = 'user') AS has_user_consent
    FROM app_permissions
    GROUP BY service_principal_id
),

consenters AS (
    SELECT service_principal_id, count(DISTINCT principal_id) AS consented_users
    FROM stg_delegated_grants
    WHERE consent_type = 'Principal'
    GROUP BY service_principal_id
),

roles AS (
    SELECT
        principal_id AS service_principal_id,
        list_sort(list_distinct(list(coalesce(role_name, role_definition_id)))) AS directory_roles,
        bool_or(is_privileged) AS has_privileged_role
    FROM stg_directory_role_assignments
    WHERE principal_id IN (SELECT service_principal_id FROM stg_service_principals)
    GROUP BY principal_id
)

SELECT
    coalesce(p.service_principal_id, r.service_principal_id) AS service_principal_id,
    p.* EXCLUDE (service_principal_id),
    coalesce(c.consented_users, 0) AS consented_users,
    coalesce(r.directory_roles, CAST([] AS VARCHAR[])) AS directory_roles,
    coalesce(r.has_privileged_role, false) AS has_privileged_role
FROM permissions AS p
FULL JOIN roles AS r ON r.service_principal_id = p.service_principal_id
LEFT JOIN consenters AS c ON c.service_principal_id = coalesce(p.service_principal_id, r.service_principal_id)
ORDER BY service_principal_id
