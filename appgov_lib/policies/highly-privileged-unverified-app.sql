-- grain: app of another tenant, publisher not verified, with at least one high permission
-- source: app_inventory, app_permissions
WITH high_permissions AS (
    SELECT
        service_principal_id,
        count(*) AS high_permissions,
        count(*) FILTER (permission_type = 'application') AS application_permissions,
        list(permission ORDER BY permission_type, permission) AS names,
        list(
            {
                'resource_id': resource_id,
                'resource': resource_name,
                'permission': permission,
                'permission_type': permission_type,
                'consent_type': consent_type,
                'why_high': level_reason,
                'usage': usage
            } ORDER BY resource_id, permission_type, permission
        ) AS permissions
    FROM app_permissions
    WHERE privilege_level = 'high'
    GROUP BY service_principal_id
)

SELECT
    app.service_principal_id,
    app.app_id,
    app.display_name AS app_display_name,
    '' AS subject,
    CAST(granted.high_permissions AS DOUBLE) AS measure,
    CAST($min_high_permissions AS DOUBLE) AS threshold,
    concat(
        'An app of another tenant whose publisher is not verified holds ', granted.high_permissions, ' high ',
        CASE WHEN granted.high_permissions = 1 THEN 'permission' ELSE 'permissions' END,
        ', ', granted.application_permissions, ' of them without a signed-in user: ',
        array_to_string(granted.names[1:3], ', '),
        CASE WHEN len(granted.names) > 3 THEN concat(' and ', len(granted.names) - 3, ' more') ELSE '' END,
        '.'
    ) AS reason,
    json_object(
        'permissions', granted.permissions,
        'publisher_name', app.publisher_name,
        'consent_type', app.consent_type,
        'consented_users', app.consented_users,
        'last_used_at', app.last_used_at
    ) AS evidence
FROM app_inventory AS app
INNER JOIN high_permissions AS granted
    ON app.service_principal_id = granted.service_principal_id
WHERE
    app.is_first_party IS NOT TRUE
    AND app.service_principal_type IS DISTINCT FROM 'ManagedIdentity'
    AND app.app_origin = 'external'
    -- NULL would mean that the publisher could not be read; that is no evidence of an unverified one.
    AND app.publisher_verified = FALSE
    AND app.status = 'enabled'
    AND granted.high_permissions >= $min_high_permissions
ORDER BY app.service_principal_id
