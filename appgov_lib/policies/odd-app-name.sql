-- grain: app with a name that hides something or says nothing
-- source: app_inventory, name_skeletons, stg_users
WITH people AS (
    SELECT DISTINCT lower(trim(unnest([display_name, user_principal_name]))) AS name
    FROM stg_users
),

named AS (
    SELECT
        app.*,
        CASE
            WHEN read.oddity IS NOT NULL THEN read.oddity
            -- a slip of the keyboard in one's own app; in the apps of others misleading-name tells it
            WHEN app.app_origin = 'internal' AND read.disguised_word IS NOT NULL
                THEN concat('mixes letters of several alphabets in "', read.disguised_word, '"')
            WHEN people.name IS NOT NULL THEN 'is the name of a user'
            WHEN
                app.privilege_level = 'high'
                AND regexp_matches(
                    lower(app.display_name), '^(test|demo|asdf|foo|tmp|temp|abc|app|new app)[ _-]*[0-9]*$'
                )
                THEN 'is that of a trial, while its permissions reach far'
        END AS oddity
    FROM app_inventory AS app
    LEFT JOIN name_skeletons AS read
        ON app.display_name = read.name
    LEFT JOIN people
        ON lower(trim(app.display_name)) = people.name
    WHERE app.is_in_scope AND app.display_name IS NOT NULL
)

SELECT
    service_principal_id,
    app_id,
    display_name AS app_display_name,
    '' AS subject,
    CAST(1 AS DOUBLE) AS measure,
    CAST(NULL AS DOUBLE) AS threshold,
    concat('The name of the app ', oddity, '.') AS reason,
    json_object(
        'oddity', oddity, 'app_origin', app_origin, 'publisher_verified', publisher_verified,
        'privilege_level', privilege_level, 'created_at', created_at
    ) AS evidence
FROM named
WHERE oddity IS NOT NULL
ORDER BY service_principal_id
