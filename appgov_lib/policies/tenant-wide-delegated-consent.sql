-- grain: app of another tenant that may act for everybody with several high permissions
-- source: app_inventory, app_permissions
WITH for_everybody AS (
    SELECT
        service_principal_id,
        count(*) AS high_permissions,
        list(permission ORDER BY permission) AS names,
        list(
            {
                'resource_id': resource_id,
                'resource': resource_name,
                'permission': permission,
                'permission_type': permission_type,
                'why_high': level_reason,
                'usage': usage
            } ORDER BY resource_id, permission
        ) AS permissions
    FROM app_permissions
    WHERE
        permission_type = 'delegated'
        AND consent_type = 'admin'
        AND privilege_level = 'high'
    GROUP BY service_principal_id
)

SELECT
    app.service_principal_id,
    app.app_id,
    app.display_name AS app_display_name,
    '' AS subject,
    CAST(held.high_permissions AS DOUBLE) AS measure,
    CAST($min_high_permissions AS DOUBLE) AS threshold,
    concat(
        'An administrator let an app of another tenant act for everybody with ', held.high_permissions,
        CASE WHEN held.high_permissions = 1 THEN ' high permission: ' ELSE ' high permissions: ' END,
        array_to_string(held.names[1:3], ', '),
        CASE WHEN len(held.names) > 3 THEN concat(' and ', len(held.names) - 3, ' more') ELSE '' END,
        '; every user may sign in to it.'
    ) AS reason,
    json_object(
        'permissions', held.permissions,
        'publisher_name', app.publisher_name,
        'publisher_verified', app.publisher_verified,
        'assignment_required', app.assignment_required,
        'last_used_at', app.last_used_at
    ) AS evidence
FROM for_everybody AS held
INNER JOIN app_inventory AS app
    ON held.service_principal_id = app.service_principal_id
WHERE
    app.is_in_scope
    AND app.app_origin = 'external'
    AND app.status = 'enabled'
    -- Where users must be assigned, the consent reaches only those.
    AND app.assignment_required = FALSE
    AND held.high_permissions >= $min_high_permissions
ORDER BY app.service_principal_id
