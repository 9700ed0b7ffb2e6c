-- grain: app new in the tenant with a high risk score
-- source: app_inventory
SELECT
    service_principal_id,
    app_id,
    display_name AS app_display_name,
    '' AS subject,
    CAST(risk_score AS DOUBLE) AS measure,
    CAST($max_score AS DOUBLE) AS threshold,
    concat(
        'Came into the tenant on ', strftime(coalesce(added_on, created_at), '%Y-%m-%d'), ' and ',
        'has a risk score of ', risk_score, ' (threshold ', CAST($max_score AS INTEGER), ').'
    ) AS reason,
    json_object(
        'added_on', coalesce(added_on, created_at), 'app_origin', app_origin, 'publisher_name', publisher_name,
        'publisher_verified', publisher_verified, 'consent_type', consent_type, 'consented_users', consented_users,
        'permission_count', permission_count, 'privilege_level', privilege_level,
        'risk_parts', risk_parts
    ) AS evidence
FROM app_inventory
WHERE
    is_in_scope
    AND coalesce(added_on, created_at) >= CAST($as_of AS DATE) + 1 - CAST($days_new AS INTEGER)
    AND status = 'enabled'
    AND risk_score > $max_score
ORDER BY service_principal_id
