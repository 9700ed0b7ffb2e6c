-- grain: app let into mailboxes by an old protocol
-- source: app_permissions, stg_service_principals, app_inventory
WITH old_protocols AS (
    SELECT
        held.service_principal_id,
        count(*) AS permission_count,
        list(held.permission ORDER BY held.permission) AS names,
        list(
            {
                'resource_id': held.resource_id,
                'resource': held.resource_name,
                'permission': held.permission,
                'permission_type': held.permission_type,
                'why': held.level_reason,
                'granted_at': held.granted_at,
                'usage': held.usage
            } ORDER BY held.resource_id, held.permission
        ) AS permissions
    FROM app_permissions AS held
    INNER JOIN stg_service_principals AS api
        ON held.resource_id = api.service_principal_id
    WHERE
        api.app_id IN ('00000003-0000-0000-c000-000000000000', '00000002-0000-0ff1-ce00-000000000000')
        -- full_access_as_app uses the same protocol; it is the policy exchange-full-access.
        AND held.permission IN (
            'EWS.AccessAsUser.All', 'IMAP.AccessAsUser.All', 'IMAP.AccessAsApp', 'POP.AccessAsUser.All',
            'POP.AccessAsApp', 'SMTP.Send', 'SMTP.SendAsApp'
        )
    GROUP BY held.service_principal_id
)

SELECT
    app.service_principal_id,
    app.app_id,
    app.display_name AS app_display_name,
    '' AS subject,
    CAST(found.permission_count AS DOUBLE) AS measure,
    CAST($min_permissions AS DOUBLE) AS threshold,
    concat(
        'The app may use mailboxes by old protocols (',
        array_to_string(found.names[1:3], ', '),
        CASE WHEN len(found.names) > 3 THEN concat(' and ', len(found.names) - 3, ' more') ELSE '' END,
        '), whose use the Graph activity log does not show.'
    ) AS reason,
    json_object(
        'permissions', found.permissions,
        'app_origin', app.app_origin,
        'live_owner_count', app.live_owner_count,
        'last_used_at', app.last_used_at
    ) AS evidence
FROM old_protocols AS found
INNER JOIN app_inventory AS app
    ON found.service_principal_id = app.service_principal_id
WHERE
    app.is_in_scope
    AND app.status = 'enabled'
    AND found.permission_count >= $min_permissions
ORDER BY app.service_principal_id
