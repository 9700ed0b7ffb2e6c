-- grain: app through which people signed in with a device code though that is not how it is used
-- source: stg_sign_ins, app_inventory
WITH codes AS (
    SELECT
        app_id,
        max(app_name) AS app_name,
        count(*) AS sign_ins,
        count(DISTINCT user_id) AS users,
        list_sort(list(DISTINCT user_principal_name) FILTER (user_principal_name IS NOT NULL)) AS people,
        list_sort(list(DISTINCT ip_address) FILTER (ip_address IS NOT NULL)) AS addresses,
        min(created_at) AS first_at,
        max(created_at) AS last_at
    FROM stg_sign_ins
    WHERE
        authentication_protocol = 'deviceCode'
        AND error_code = 0
        AND app_id IS NOT NULL
        AND created_at >= CAST($as_of AS DATE) + 1 - $days
        AND created_at < CAST($as_of AS DATE) + 1
    GROUP BY app_id
),

before AS (
    SELECT
        app_id,
        min(created_at) AS known_from,
        bool_or(authentication_protocol = 'deviceCode') AS had_codes
    FROM stg_sign_ins
    WHERE created_at < CAST($as_of AS DATE) + 1 - $days AND authentication_protocol IS NOT NULL
    GROUP BY app_id
),

judged AS (
    SELECT
        codes.*,
        -- the Microsoft Authentication Broker registers devices: nobody needs a code for that, a thief of tokens does
        codes.app_id = '29d9ed98-a469-4536-ade2-f981bc1d605e' AS is_broker
    FROM codes
    LEFT JOIN before
        ON codes.app_id = before.app_id
    LEFT JOIN app_inventory AS app
        ON codes.app_id = app.app_id
    WHERE
        is_broker
        OR (
            app.is_in_scope
            AND before.had_codes IS FALSE
            AND before.known_from < CAST($as_of AS DATE) + 1 - $days - CAST($min_history_days AS INTEGER)
        )
)

SELECT
    coalesce(app.service_principal_id, judged.app_id) AS service_principal_id,
    judged.app_id,
    coalesce(app.display_name, judged.app_name) AS app_display_name,
    '' AS subject,
    CAST(judged.users AS DOUBLE) AS measure,
    CAST($min_history_days AS DOUBLE) AS threshold,
    concat(
        judged.users, CASE WHEN judged.users = 1 THEN ' person' ELSE ' people' END,
        ' signed in through this app with a device code from ', strftime(judged.first_at, '%Y-%m-%d %H:%M'), ' UTC on (',
        CASE WHEN len(judged.people) > 0 THEN array_to_string(judged.people[1:3], ', ') ELSE 'not named' END, '); ',
        CASE
            WHEN judged.is_broker THEN 'the broker needs no code, but what it gets can register a device.'
            ELSE 'until then nobody ever did so through this app.'
        END
    ) AS reason,
    json_object(
        'users', judged.users, 'people', judged.people, 'sign_ins', judged.sign_ins, 'first_at', judged.first_at,
        'last_at', judged.last_at, 'addresses', judged.addresses[1:10], 'is_broker', judged.is_broker
    ) AS evidence
FROM judged
LEFT JOIN app_inventory AS app
    ON judged.app_id = app.app_id
ORDER BY service_principal_id
