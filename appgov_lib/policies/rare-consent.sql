-- grain: app of another tenant that somebody gave a strong permission for themselves, the first to consent at all
-- source: grant_history, app_permissions, app_inventory
WITH consents AS (
    SELECT
        service_principal_id,
        principal_id,
        permission,
        -- NULL: there before history begins
        coalesce(valid_from, TIMESTAMP '1970-01-01') AS given_at
    FROM grant_history
    WHERE permission_type IN ('delegated', 'application')
),

firsts AS (
    SELECT
        service_principal_id,
        min(given_at) AS first_at
    FROM consents
    GROUP BY service_principal_id
    HAVING min(given_at) >= CAST($as_of AS DATE) + 1 - $days AND min(given_at) < CAST($as_of AS DATE) + 1
),

strong AS (
    SELECT
        consents.service_principal_id,
        count(DISTINCT consents.principal_id) AS people,
        list_sort(list(DISTINCT held.permission)) AS permissions
    FROM consents
    INNER JOIN app_permissions AS held
        ON consents.service_principal_id = held.service_principal_id AND consents.permission = held.permission
    WHERE
        held.permission_type = 'delegated'
        AND held.consent_type = 'user'
        AND held.privilege_level = 'high'
        AND consents.principal_id IS NOT NULL
    GROUP BY consents.service_principal_id
)

SELECT
    app.service_principal_id,
    app.app_id,
    app.display_name AS app_display_name,
    '' AS subject,
    CAST(strong.people AS DOUBLE) AS measure,
    CAST($max_people AS DOUBLE) AS threshold,
    concat(
        strong.people, CASE WHEN strong.people = 1 THEN ' person' ELSE ' people' END,
        ' consented to this app for themselves, the first on ', strftime(firsts.first_at, '%Y-%m-%d'),
        '; in the ', $days_history, ' days to the end of the period nobody had before: ', array_to_string(strong.permissions[1:3], ', '), '.'
    ) AS reason,
    json_object(
        'people', strong.people, 'first_at', firsts.first_at, 'permissions', strong.permissions,
        'publisher_name', app.publisher_name, 'publisher_verified', app.publisher_verified,
        'added_on', coalesce(app.added_on, app.created_at), 'reply_urls', app.reply_urls
    ) AS evidence
FROM firsts
INNER JOIN strong
    ON firsts.service_principal_id = strong.service_principal_id
INNER JOIN app_inventory AS app
    ON firsts.service_principal_id = app.service_principal_id
WHERE
    app.is_in_scope
    AND app.app_origin = 'external'
    AND strong.people <= $max_people
ORDER BY app.service_principal_id
