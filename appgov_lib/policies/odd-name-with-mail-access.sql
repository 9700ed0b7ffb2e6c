-- grain: app with a name that hides something and permissions over mailboxes
-- source: app_inventory, app_permissions, name_skeletons
WITH mail AS (
    SELECT
        service_principal_id,
        count(DISTINCT permission) AS permissions,
        list(DISTINCT permission ORDER BY permission) AS names,
        bool_or(permission_type = 'application') AS for_all
    FROM app_permissions
    WHERE regexp_matches(
        permission,
        '^(Mail\.|MailboxSettings\.|MailboxFolder\.|MailboxItem\.|IMAP\.|POP\.|SMTP\.|EWS\.|full_access_as_app$|Exchange\.Manage)'
    )
    GROUP BY service_principal_id
)

SELECT
    app.service_principal_id,
    app.app_id,
    app.display_name AS app_display_name,
    '' AS subject,
    CAST(mail.permissions AS DOUBLE) AS measure,
    CAST($min_permissions AS DOUBLE) AS threshold,
    concat(
        'The name of the app ',
        coalesce(read.oddity, concat('mixes letters of several alphabets in "', read.disguised_word, '"')),
        ', and it may reach ', CASE WHEN mail.for_all THEN 'every mailbox' ELSE 'mailboxes of its users' END, ' by ',
        array_to_string(mail.names[:5], ', '),
        CASE WHEN mail.permissions > 5 THEN concat(' and ', mail.permissions - 5, ' more') ELSE '' END, '.'
    ) AS reason,
    json_object(
        'oddity', read.oddity, 'disguised_word', read.disguised_word, 'permissions', mail.names,
        'app_origin', app.app_origin, 'publisher_name', app.publisher_name,
        'publisher_verified', app.publisher_verified, 'consented_users', app.consented_users,
        'created_at', app.created_at, 'last_used_at', app.last_used_at
    ) AS evidence
FROM app_inventory AS app
INNER JOIN mail ON mail.service_principal_id = app.service_principal_id
INNER JOIN name_skeletons AS read ON read.name = app.display_name
WHERE
    app.is_in_scope
    AND mail.permissions >= $min_permissions
    AND (read.oddity IS NOT NULL OR read.disguised_word IS NOT NULL)
ORDER BY app.service_principal_id
