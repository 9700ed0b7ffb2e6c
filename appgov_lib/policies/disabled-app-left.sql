-- grain: app registered here that is disabled, not used for long, and still there
-- source: app_inventory, reference/abused_apps.csv
SELECT
    app.service_principal_id,
    app.app_id,
    app.display_name AS app_display_name,
    '' AS subject,
    CAST(date_diff('day', CAST(coalesce(app.last_used_at, app.created_at) AS DATE), CAST($as_of AS DATE)) AS DOUBLE)
        AS measure,
    CAST($days_unused AS DOUBLE) AS threshold,
    concat(
        'The app is disabled, and ',
        CASE
            WHEN app.last_used_at IS NULL
                THEN concat('no use of it is known since it was added on ', strftime(app.created_at, '%Y-%m-%d'))
            ELSE concat('was last used on ', strftime(app.last_used_at, '%Y-%m-%d'))
        END,
        ', ', date_diff('day', CAST(coalesce(app.last_used_at, app.created_at) AS DATE), CAST($as_of AS DATE)),
        ' days ago (threshold ', $days_unused, '); whoever enables it gets ', coalesce(app.permission_count, 0),
        CASE WHEN app.permission_count = 1 THEN ' permission and ' ELSE ' permissions and ' END,
        coalesce(app.credential_count, 0), CASE WHEN app.credential_count = 1 THEN ' credential.' ELSE ' credentials.' END
    ) AS reason,
    json_object(
        'last_used_at', app.last_used_at,
        'created_at', app.created_at,
        'permission_count', app.permission_count,
        'high_privilege_count', app.high_privilege_count,
        'credential_count', app.credential_count,
        'directory_roles', app.directory_roles
    ) AS evidence
FROM app_inventory AS app
WHERE
    app.is_in_scope
    -- a disabled app of another tenant keeps people from consenting to it again: it stays
    AND app.app_origin = 'internal'
    AND app.service_principal_type IS DISTINCT FROM 'ManagedIdentity'
    AND app.account_enabled = FALSE
    AND app.created_at < CAST($as_of AS DATE) + 1 - $days_unused * INTERVAL 1 DAY
    AND (app.last_used_at IS NULL OR app.last_used_at < CAST($as_of AS DATE) + 1 - $days_unused * INTERVAL 1 DAY)
    AND coalesce(app.permission_count, 0) + coalesce(app.credential_count, 0) + coalesce(len(app.directory_roles), 0) > 0
    AND app.app_id NOT IN (SELECT lower(trim(app_id)) FROM ref_abused_apps WHERE app_id IS NOT NULL)
ORDER BY app.service_principal_id
