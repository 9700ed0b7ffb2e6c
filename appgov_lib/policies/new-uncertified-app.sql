-- grain: outside app new in the tenant that nobody vouches for
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
        'nobody vouches for it: its publisher is not verified, and no certification of it is known.'
    ) AS reason,
    json_object(
        'added_on', coalesce(added_on, created_at), 'app_origin', app_origin, 'publisher_name', publisher_name,
        'publisher_verified', publisher_verified, 'consent_type', consent_type, 'consented_users', consented_users,
        'permission_count', permission_count, 'privilege_level', privilege_level,
        'certification', certification
    ) AS evidence
FROM app_inventory
WHERE
    is_in_scope
    AND coalesce(added_on, created_at) >= CAST($as_of AS DATE) + 1 - CAST($days_new AS INTEGER)
    AND status = 'enabled'
    AND app_origin = 'external'
    AND publisher_verified IS FALSE
    AND coalesce(certification, 'none') = 'none'
ORDER BY service_principal_id
