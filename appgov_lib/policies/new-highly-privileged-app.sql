-- grain: app new in the tenant that is highly privileged
-- source: app_inventory
SELECT
    service_principal_id,
    app_id,
    display_name AS app_display_name,
    '' AS subject,
    CAST(high_privilege_count AS DOUBLE) AS measure,
    CAST($min_high_permissions AS DOUBLE) AS threshold,
    concat(
        'Came into the tenant on ', strftime(coalesce(added_on, created_at), '%Y-%m-%d'), ' and ',
        'holds ', high_privilege_count,
        CASE WHEN high_privilege_count = 1 THEN ' permission' ELSE ' permissions' END, ' of high privilege',
        CASE WHEN len(directory_roles) > 0 THEN concat(' and ', array_to_string(directory_roles, ', ')) ELSE '' END, '.'
    ) AS reason,
    json_object(
        'added_on', coalesce(added_on, created_at), 'app_origin', app_origin, 'publisher_name', publisher_name,
        'publisher_verified', publisher_verified, 'consent_type', consent_type, 'consented_users', consented_users,
        'permission_count', permission_count, 'privilege_level', privilege_level,
        'directory_roles', directory_roles
    ) AS evidence
FROM app_inventory
WHERE
    is_in_scope
    AND coalesce(added_on, created_at) >= CAST($as_of AS DATE) + 1 - CAST($days_new AS INTEGER)
    AND status = 'enabled'
    AND (high_privilege_count >= $min_high_permissions OR len(directory_roles) > 0)
ORDER BY service_principal_id
