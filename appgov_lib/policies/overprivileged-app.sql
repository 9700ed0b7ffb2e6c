-- grain: app that holds permissions not seen in use
-- source: app_permissions, app_inventory
WITH unused AS (
    SELECT
        service_principal_id,
        count(*) AS unused_permissions,
        count(*) FILTER (privilege_level = 'high') AS high_permissions,
        list(permission ORDER BY privilege_level <> 'high', permission) AS names,
        list(
            {
                'resource_id': resource_id,
                'resource': resource_name,
                'permission': permission,
                'permission_type': permission_type,
                'privilege_level': privilege_level,
                'why_unused': usage_reason
            } ORDER BY resource_id, permission_type, permission
        ) AS permissions
    FROM app_permissions
    -- Sign-in scopes and other low permissions are left alone: removing them gains nothing and breaks sign-ins.
    WHERE
        usage = 'unused'
        AND privilege_level IN ('high', 'medium')
    GROUP BY service_principal_id
)

SELECT
    app.service_principal_id,
    app.app_id,
    app.display_name AS app_display_name,
    '' AS subject,
    CAST(unused.unused_permissions AS DOUBLE) AS measure,
    CAST($min_unused AS DOUBLE) AS threshold,
    concat(
        unused.unused_permissions, ' of ', app.permission_count,
        CASE WHEN app.permission_count = 1 THEN ' permission was' ELSE ' permissions were' END,
        ' not used in ', format('{:,}', coalesce(app.calls_30d, 0)),
        ' recorded API calls of the last 30 days, ', unused.high_permissions, ' of them with high privilege: ',
        array_to_string(unused.names[1:3], ', '),
        CASE WHEN len(unused.names) > 3 THEN concat(' and ', len(unused.names) - 3, ' more') ELSE '' END,
        '.'
    ) AS reason,
    json_object(
        'permissions', unused.permissions,
        'permission_count', app.permission_count,
        'calls_30d', app.calls_30d,
        'last_used_at', app.last_used_at
    ) AS evidence
FROM unused
INNER JOIN app_inventory AS app
    ON unused.service_principal_id = app.service_principal_id
WHERE
    app.is_first_party IS NOT TRUE
    AND app.service_principal_type IS DISTINCT FROM 'ManagedIdentity'
    AND unused.unused_permissions >= $min_unused
    -- Of an app that does nothing at all every permission is unused; that is the policy unused-app.
    AND (app.calls_30d > 0 OR app.last_used_at >= CAST($as_of AS DATE) + 1 - $days_idle * INTERVAL 1 DAY)
ORDER BY app.service_principal_id
