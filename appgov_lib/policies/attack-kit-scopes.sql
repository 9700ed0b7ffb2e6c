-- grain: app of another tenant and an unverified publisher that users gave the set of permissions of an attack kit
-- source: stg_delegated_grants, app_inventory, reference/attack_scopes.csv
WITH held AS (
    SELECT
        service_principal_id,
        principal_id,
        list_distinct(flatten(list(list_transform(scopes, lambda s: lower(s))))) AS scopes
    FROM stg_delegated_grants
    WHERE consent_type = 'Principal'
    GROUP BY service_principal_id, principal_id
),

matched AS (
    SELECT
        held.service_principal_id,
        held.principal_id,
        kit.kit,
        count(*) AS scopes,
        list_sort(list(kit.scope)) AS names
    FROM held
    INNER JOIN ref_attack_scopes AS kit
        ON list_contains(held.scopes, lower(kit.scope))
    -- a kit comes back without the user; an app that cannot is used while they look
    WHERE list_contains(held.scopes, 'offline_access')
    GROUP BY held.service_principal_id, held.principal_id, kit.kit
    HAVING count(*) >= max(CAST(kit.needed AS INTEGER))
),

counted AS (
    SELECT
        service_principal_id,
        count(DISTINCT principal_id) AS users,
        list_sort(list(DISTINCT kit)) AS kits,
        list_sort(list_distinct(flatten(list(names)))) AS names
    FROM matched
    GROUP BY service_principal_id
)

SELECT
    app.service_principal_id,
    app.app_id,
    app.display_name AS app_display_name,
    '' AS subject,
    CAST(counted.users AS DOUBLE) AS measure,
    CAST($min_users AS DOUBLE) AS threshold,
    concat(
        counted.users, CASE WHEN counted.users = 1 THEN ' user' ELSE ' users' END,
        ' gave this app the set of permissions known as ', array_to_string(counted.kits, ' and '), ' (',
        array_to_string(counted.names, ', '), ') and offline access; its publisher is not verified.'
    ) AS reason,
    json_object(
        'users', counted.users, 'kits', counted.kits, 'permissions', counted.names,
        'publisher_name', app.publisher_name, 'added_on', coalesce(app.added_on, app.created_at),
        'reply_urls', app.reply_urls
    ) AS evidence
FROM counted
INNER JOIN app_inventory AS app
    ON counted.service_principal_id = app.service_principal_id
WHERE
    app.is_in_scope
    AND app.app_origin = 'external'
    -- of an outside app NULL means that no publisher is named, so nobody vouches for it
    AND app.publisher_verified IS NOT TRUE
    AND counted.users >= $min_users
ORDER BY app.service_principal_id
