-- grain: app new in the tenant with permissions of other APIs than Microsoft Graph
-- source: app_inventory
SELECT
    service_principal_id,
    app_id,
    display_name AS app_display_name,
    '' AS subject,
    CAST(permission_count AS DOUBLE) AS measure,
    CAST(NULL AS DOUBLE) AS threshold,
    concat(
        'Came into the tenant on ', strftime(coalesce(added_on, created_at), '%Y-%m-%d'), ' and ',
        'may use APIs whose calls the Graph log does not show: ',
        array_to_string(list_filter(api_names, lambda n: n <> 'Microsoft Graph'), ', '), '.'
    ) AS reason,
    json_object(
        'added_on', coalesce(added_on, created_at), 'app_origin', app_origin, 'publisher_name', publisher_name,
        'publisher_verified', publisher_verified, 'consent_type', consent_type, 'consented_users', consented_users,
        'permission_count', permission_count, 'privilege_level', privilege_level,
        'api_names', api_names
    ) AS evidence
FROM app_inventory
WHERE
    is_in_scope
    AND coalesce(added_on, created_at) >= CAST($as_of AS DATE) + 1 - CAST($days_new AS INTEGER)
    AND other_api_access
ORDER BY service_principal_id
