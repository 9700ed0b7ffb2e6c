-- grain: app of some privilege with a reply address under a name anybody may take again
-- source: app_hygiene, hygiene_reply_urls, app_inventory
WITH flagged AS (
    SELECT object_id, list(DISTINCT subject ORDER BY subject) AS addresses
    FROM hygiene_reply_urls
    WHERE check_id = 'reply_url_reclaimable_host'
    GROUP BY object_id
)

SELECT
    app.service_principal_id,
    app.app_id,
    app.display_name AS app_display_name,
    '' AS subject,
    CAST(sum(coalesce(checked.hits, 1)) AS DOUBLE) AS measure,
    CAST(1 AS DOUBLE) AS threshold,
    concat(
        'Tokens can be sent to ', max(checked.subject), ', an ', any_value(checked.detail),
        '. Once its site is deleted, anybody can take the name. Whether it is still taken was not asked.'
    ) AS reason,
    json_object(
        'checks',
        list(
            {'check_id': checked.check_id, 'example': checked.subject, 'detail': checked.detail, 'hits': checked.hits}
            ORDER BY checked.check_id
        ),
        'addresses', flagged.addresses,
        'privilege_level', app.privilege_level,
        'app_origin', app.app_origin
    ) AS evidence
FROM app_hygiene AS checked
INNER JOIN app_inventory AS app
    ON checked.service_principal_id = app.service_principal_id
LEFT JOIN flagged
    ON app.service_principal_id = flagged.object_id
WHERE
    checked.check_id IN ('reply_url_reclaimable_host')
    AND checked.verdict = 'yes'
    AND app.is_in_scope
    AND app.status = 'enabled'
    AND app.privilege_level IN ('high', 'medium')
GROUP BY
    app.service_principal_id, app.app_id, app.display_name, app.privilege_level, app.app_origin, flagged.addresses
ORDER BY app.service_principal_id
