-- grain: app that Microsoft has disabled
-- source: app_inventory, stg_service_principals
SELECT
    app.service_principal_id,
    app.app_id,
    app.display_name AS app_display_name,
    '' AS subject,
    CAST(app.permission_count AS DOUBLE) AS measure,
    CAST(NULL AS DOUBLE) AS threshold,
    concat(
        'Microsoft has disabled the app (',
        coalesce(principal.disabled_by_microsoft_status, 'reason not told'), '). It still holds ', app.permission_count,
        CASE WHEN app.permission_count = 1 THEN ' permission' ELSE ' permissions' END, ', and ',
        app.consented_users, CASE WHEN app.consented_users = 1 THEN ' user' ELSE ' users' END,
        ' consented to it; what it took before stays taken.'
    ) AS reason,
    json_object(
        'disabled_by_microsoft_status', principal.disabled_by_microsoft_status, 'privilege_level', app.privilege_level,
        'consented_users', app.consented_users, 'publisher_name', app.publisher_name, 'last_used_at', app.last_used_at
    ) AS evidence
FROM app_inventory AS app
INNER JOIN stg_service_principals AS principal
    ON app.service_principal_id = principal.service_principal_id
WHERE
    app.is_in_scope
    AND app.status = 'disabled_by_microsoft'
ORDER BY app.service_principal_id
