-- grain: app registered here that holds permissions its registration does not ask for
-- source: app_permissions, app_inventory
WITH extra AS (
    SELECT
        service_principal_id,
        count(*) AS extra_permissions,
        count(*) FILTER (privilege_level = 'high') AS high_permissions,
        list(permission ORDER BY privilege_level <> 'high', permission) AS names,
        list(
            {
                'resource_id': resource_id,
                'resource': resource_name,
                'permission': permission,
                'permission_type': permission_type,
                'consent_type': consent_type,
                'privilege_level': privilege_level,
                'usage': usage,
                'granted_at': granted_at
            } ORDER BY resource_id, permission_type, permission
        ) AS permissions
    FROM app_permissions
    -- NULL: the registration is not here to compare with. Low delegated scopes are asked for at sign-in by many libraries.
    WHERE
        in_manifest = FALSE
        AND (permission_type = 'application' OR privilege_level IN ('high', 'medium'))
    GROUP BY service_principal_id
)

SELECT
    app.service_principal_id,
    app.app_id,
    app.display_name AS app_display_name,
    '' AS subject,
    CAST(extra.extra_permissions AS DOUBLE) AS measure,
    CAST($min_permissions AS DOUBLE) AS threshold,
    concat(
        extra.extra_permissions, ' of ', app.permission_count, ' granted ',
        CASE WHEN app.permission_count = 1 THEN 'permission is' ELSE 'permissions are' END,
        ' not asked for by the app registration, ', extra.high_permissions, ' of them with high privilege: ',
        array_to_string(extra.names[1:3], ', '),
        CASE WHEN len(extra.names) > 3 THEN concat(' and ', len(extra.names) - 3, ' more') ELSE '' END,
        '.'
    ) AS reason,
    json_object(
        'permissions', extra.permissions,
        'application_id', app.application_id,
        'permission_count', app.permission_count
    ) AS evidence
FROM extra
INNER JOIN app_inventory AS app
    ON extra.service_principal_id = app.service_principal_id
WHERE
    app.is_first_party IS NOT TRUE
    AND app.service_principal_type IS DISTINCT FROM 'ManagedIdentity'
    AND extra.extra_permissions >= $min_permissions
ORDER BY app.service_principal_id
