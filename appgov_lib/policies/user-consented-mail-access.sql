-- grain: app of another tenant, publisher not verified, that users let into their mailboxes
-- source: app_inventory, app_permissions
WITH mail_permissions AS (
    SELECT
        service_principal_id,
        -- One user may have consented to several scopes: the largest count is the least number of different users.
        max(consented_users) AS users,
        list(permission ORDER BY permission) AS names,
        list(
            {
                'resource_id': resource_id,
                'resource': resource_name,
                'permission': permission,
                'permission_type': permission_type,
                'consented_users': consented_users,
                'usage': usage
            } ORDER BY resource_id, permission
        ) AS permissions
    FROM app_permissions
    WHERE
        permission_type = 'delegated'
        AND consent_type = 'user'
        AND (
            starts_with(permission, 'Mail.')
            OR starts_with(permission, 'MailboxSettings.')
            OR starts_with(permission, 'MailboxItem.')
            OR permission IN ('EWS.AccessAsUser.All', 'IMAP.AccessAsUser.All', 'POP.AccessAsUser.All', 'SMTP.Send')
        )
    GROUP BY service_principal_id
)

SELECT
    app.service_principal_id,
    app.app_id,
    app.display_name AS app_display_name,
    '' AS subject,
    CAST(mail.users AS DOUBLE) AS measure,
    CAST($min_users AS DOUBLE) AS threshold,
    concat(
        mail.users, CASE WHEN mail.users = 1 THEN ' user' ELSE ' users' END,
        ' gave an app of another tenant, whose publisher is not verified, access to mail: ',
        array_to_string(mail.names, ', '), '.'
    ) AS reason,
    json_object(
        'permissions', mail.permissions,
        'publisher_name', app.publisher_name,
        'reply_urls', app.reply_urls,
        'created_at', app.created_at,
        'last_used_at', app.last_used_at
    ) AS evidence
FROM app_inventory AS app
INNER JOIN mail_permissions AS mail
    ON app.service_principal_id = mail.service_principal_id
WHERE
    app.is_first_party IS NOT TRUE
    AND app.service_principal_type IS DISTINCT FROM 'ManagedIdentity'
    AND app.app_origin = 'external'
    AND app.publisher_verified = FALSE
    AND app.status = 'enabled'
    AND mail.users >= $min_users
ORDER BY app.service_principal_id
