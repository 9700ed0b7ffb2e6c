-- grain: own registration for several tenants without a full property lock
-- source: app_hygiene, app_inventory
SELECT
    app.service_principal_id,
    app.app_id,
    app.display_name AS app_display_name,
    '' AS subject,
    CAST(sum(coalesce(checked.hits, 1)) AS DOUBLE) AS measure,
    CAST(1 AS DOUBLE) AS threshold,
    concat(
        'The app is open to other tenants and has ',
        CASE WHEN max(checked.detail) = 'no lock' THEN 'no property lock' ELSE 'a property lock with gaps' END,
        ': in another tenant a credential can be added to its copy.'
    ) AS reason,
    json_object(
        'checks',
        list(
            {'check_id': checked.check_id, 'example': checked.subject, 'detail': checked.detail, 'hits': checked.hits}
            ORDER BY checked.check_id
        ),
        'privilege_level', app.privilege_level,
        'app_origin', app.app_origin
    ) AS evidence
FROM app_hygiene AS checked
INNER JOIN app_inventory AS app
    ON checked.service_principal_id = app.service_principal_id
WHERE
    checked.check_id IN ('property_lock_missing')
    AND checked.verdict = 'yes'
    AND app.is_in_scope
    AND app.status = 'enabled'
GROUP BY app.service_principal_id, app.app_id, app.display_name, app.privilege_level, app.app_origin
ORDER BY app.service_principal_id
