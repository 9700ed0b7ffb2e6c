-- grain: app new in the tenant to which people, asked at sign-in, did not consent
-- source: stg_sign_ins, stg_delegated_grants, app_inventory, reference/first_party_apps.csv
-- Error 65004: the person was shown what the app asks for and refused.
WITH refused AS (
    SELECT
        app_id,
        coalesce(user_id, user_principal_name) AS person_id,
        min(created_at) AS first_at,
        max(created_at) AS last_at,
        max(app_name) AS app_name
    FROM stg_sign_ins
    WHERE
        error_code = 65004
        AND app_id IS NOT NULL
        AND coalesce(user_id, user_principal_name) IS NOT NULL
        AND created_at >= CAST($as_of AS DATE) + 1 - CAST($days_new AS INTEGER)
        AND created_at < CAST($as_of AS DATE) + 1
    GROUP BY app_id, coalesce(user_id, user_principal_name)
),

known_from AS (
    SELECT
        app_id,
        min(created_at) AS first_seen_at
    FROM stg_sign_ins
    WHERE app_id IN (SELECT app_id FROM refused)
    GROUP BY app_id
),

consented AS (
    SELECT DISTINCT
        app.app_id,
        given.principal_id AS person_id
    FROM stg_delegated_grants AS given
    INNER JOIN app_inventory AS app
        ON given.service_principal_id = app.service_principal_id
    WHERE given.consent_type = 'Principal'
),

counted AS (
    SELECT
        refused.app_id,
        max(refused.app_name) AS app_name,
        -- who refused first and consented later counts as one who consented
        count(*) FILTER (consented.person_id IS NULL) AS people,
        min(refused.first_at) FILTER (consented.person_id IS NULL) AS first_at,
        max(refused.last_at) FILTER (consented.person_id IS NULL) AS last_at
    FROM refused
    LEFT JOIN consented
        ON refused.app_id = consented.app_id AND refused.person_id = consented.person_id
    GROUP BY refused.app_id
),

asked AS (
    SELECT
        counted.*,
        counted.people + (SELECT count(*) FROM consented WHERE consented.app_id = counted.app_id) AS asked,
        known_from.first_seen_at
    FROM counted
    INNER JOIN known_from
        ON counted.app_id = known_from.app_id
)

SELECT
    -- nobody let it in: then the directory has no object of it
    coalesce(app.service_principal_id, asked.app_id) AS service_principal_id,
    asked.app_id,
    coalesce(app.display_name, asked.app_name) AS app_display_name,
    '' AS subject,
    CAST(asked.people AS DOUBLE) AS measure,
    CAST($min_refused AS DOUBLE) AS threshold,
    concat(
        'Of ', asked.asked, ' people whom this new app asked for consent, ', asked.people, ' refused, from ',
        strftime(asked.first_at, '%Y-%m-%d %H:%M'), ' UTC to ', strftime(asked.last_at, '%Y-%m-%d %H:%M'), ' UTC',
        CASE WHEN app.app_id IS NULL THEN '; nobody let it into the directory' ELSE '' END, '.'
    ) AS reason,
    json_object(
        'people_asked', asked.asked, 'people_who_refused', asked.people, 'first_at', asked.first_at,
        'last_at', asked.last_at, 'in_directory', app.app_id IS NOT NULL, 'publisher_name', app.publisher_name,
        'publisher_verified', app.publisher_verified, 'privilege_level', app.privilege_level
    ) AS evidence
FROM asked
LEFT JOIN app_inventory AS app
    ON asked.app_id = app.app_id
WHERE
    asked.people >= $min_refused
    AND asked.people >= $min_share * asked.asked
    AND coalesce(app.is_in_scope, asked.app_id NOT IN (SELECT app_id FROM ref_first_party_apps WHERE app_id IS NOT NULL))
    AND coalesce(app.added_on, app.created_at, asked.first_seen_at)
    >= CAST($as_of AS DATE) + 1 - CAST($days_new AS INTEGER)
ORDER BY service_principal_id
