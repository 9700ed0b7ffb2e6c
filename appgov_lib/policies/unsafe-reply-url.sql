-- grain: app with a reply address that others can read or answer
-- source: app_hygiene, hygiene_reply_urls, app_inventory
WITH flagged AS (
    SELECT object_id, list(DISTINCT subject ORDER BY subject) AS addresses
    FROM hygiene_reply_urls
    WHERE
        check_id IN ('reply_url_http', 'reply_url_wildcard', 'reply_url_ip', 'reply_url_localhost')
        AND (
            check_id <> 'reply_url_localhost'
            OR regexp_matches(subject, '(?i)^http://localhost:[0-9]+/access/?$')
        )
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
        'Tokens can be sent to an address that others can read or answer: ',
        string_agg(concat(checked.subject, ' (', checked.detail, ')'), '; ' ORDER BY checked.check_id), '.'
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
    checked.check_id IN ('reply_url_http', 'reply_url_wildcard', 'reply_url_ip', 'reply_url_localhost')
    AND checked.verdict = 'yes'
    AND app.is_in_scope
    AND app.status = 'enabled'
    -- The own machine is where developers test; one port and /access is how known phishing kits register themselves.
    AND (
        checked.check_id <> 'reply_url_localhost'
        OR list_bool_or(
            list_transform(app.reply_urls, lambda a: regexp_matches(a, '(?i)^http://localhost:[0-9]+/access/?$'))
        )
    )
GROUP BY
    app.service_principal_id, app.app_id, app.display_name, app.privilege_level, app.app_origin, flagged.addresses
ORDER BY app.service_principal_id
