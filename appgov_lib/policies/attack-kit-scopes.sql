-- grain: app of another tenant and an unverified publisher that users gave the set of permissions of an attack kit
-- source: stg_delegated_grants, app_inventory, reference/attack_scopes.csv
WITH apps AS (
    SELECT *
    FROM app_inventory
    WHERE
        is_in_scope
        AND app_origin = 'external'
        -- of an outside app NULL means that no publisher is named, so nobody vouches for it
        AND publisher_verified IS NOT TRUE
),

-- All permissions of a kit are of one API, and a person has one grant an app and API.
given AS (
    SELECT
        service_principal_id,
        principal_id,
        scopes
    FROM stg_delegated_grants
    SEMI JOIN apps USING (service_principal_id)
    WHERE consent_type = 'Principal'
),

-- There are far fewer sets of permissions than grants.
sets AS (
    SELECT
        scopes,
        lower(unnest(scopes)) AS scope
    FROM (SELECT DISTINCT scopes FROM given)
),

matched AS (
    SELECT
        sets.scopes,
        kit.kit,
        list(kit.scope) AS names
    FROM sets
    INNER JOIN ref_attack_scopes AS kit
        ON sets.scope = lower(kit.scope)
    -- a kit comes back without the user; an app that cannot is used while they look
    WHERE sets.scopes IN (SELECT scopes FROM sets WHERE scope = 'offline_access')
    GROUP BY sets.scopes, kit.kit
    HAVING count(DISTINCT sets.scope) >= max(CAST(kit.needed AS INTEGER))
),

counted AS (
    SELECT
        given.service_principal_id,
        count(DISTINCT given.principal_id) AS users,
        list_sort(list(DISTINCT matched.kit)) AS kits,
        list_sort(list_distinct(flatten(list(DISTINCT matched.names)))) AS names
    FROM given
    INNER JOIN matched
        ON given.scopes = matched.scopes
    GROUP BY given.service_principal_id
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
INNER JOIN apps AS app
    ON counted.service_principal_id = app.service_principal_id
WHERE counted.users >= $min_users
ORDER BY app.service_principal_id
