-- grain: app of another tenant, its publisher not verified, that may read what every user has or how the tenant is guarded
-- source: app_permissions, app_inventory
-- A permission without a user reaches the whole tenant. High ones are a policy of their own:
-- highly-privileged-unverified-app.
WITH held AS (
    SELECT
        service_principal_id,
        count(*) AS permission_count,
        list(permission ORDER BY permission) AS names,
        arg_min(level_reason, (permission, resource_id)) AS first_reason,
        list(
            {
                'resource': resource_name, 'permission': permission, 'why': level_reason, 'usage': usage,
                'granted_at': granted_at
            } ORDER BY resource_id, permission
        ) AS permissions
    FROM app_permissions
    WHERE
        permission_type = 'application'
        AND privilege_level = 'medium'
    GROUP BY service_principal_id
)

SELECT
    app.service_principal_id,
    app.app_id,
    app.display_name AS app_display_name,
    '' AS subject,
    CAST(held.permission_count AS DOUBLE) AS measure,
    CAST($min_permissions AS DOUBLE) AS threshold,
    concat(
        'An app of another tenant, its publisher not verified, holds ', array_to_string(held.names[1:3], ', '),
        CASE WHEN len(held.names) > 3 THEN concat(' and ', len(held.names) - 3, ' more') ELSE '' END,
        ' without a user; with the first of them it ', coalesce(held.first_reason, 'reaches the whole tenant'), '.'
    ) AS reason,
    json_object(
        'permissions', held.permissions, 'publisher_name', app.publisher_name, 'last_used_at', app.last_used_at
    ) AS evidence
FROM held
INNER JOIN app_inventory AS app
    ON held.service_principal_id = app.service_principal_id
WHERE
    app.is_in_scope
    AND app.app_origin = 'external'
    -- NULL would mean that the publisher could not be read
    AND app.publisher_verified = FALSE
    AND app.status = 'enabled'
    AND held.permission_count >= $min_permissions
ORDER BY app.service_principal_id
