-- grain: app made here lately, highly privileged, that signs in from a network nobody of the tenant was ever seen in
-- source: stg_sign_ins, app_events, app_inventory
-- A sequence: the first such sign-in is joined to the latest permission and the latest credential before it.
WITH young AS (
    SELECT *
    FROM app_inventory
    WHERE
        is_in_scope
        -- a publisher's app always comes from the publisher's network
        AND app_origin = 'internal'
        AND high_privilege_count >= $min_high_permissions
        AND coalesce(added_on, created_at) >= CAST($as_of AS DATE) + 1 - CAST($days_new AS INTEGER)
),

-- Networks that came in the period and that nothing but one app uses.
strange AS (
    SELECT
        asn,
        min(app_id) AS app_id,
        min(created_at) AS first_at,
        max(created_at) AS last_at,
        count(*) AS sign_ins,
        list_sort(list(DISTINCT ip_address) FILTER (ip_address IS NOT NULL)) AS addresses,
        list_sort(list(DISTINCT country) FILTER (country IS NOT NULL)) AS countries
    FROM stg_sign_ins
    WHERE
        asn IS NOT NULL
        AND created_at >= CAST($as_of AS DATE) + 1 - CAST($days_history AS INTEGER)
        AND created_at < CAST($as_of AS DATE) + 1
    GROUP BY asn
    HAVING
        min(created_at) >= CAST($as_of AS DATE) + 1 - $days
        AND count(DISTINCT app_id) = 1
        AND bool_and(sign_in_type = 'service_principal')
        AND bool_or(error_code = 0)
),

seen AS (
    SELECT
        strange.app_id,
        min(strange.first_at) AS first_at,
        max(strange.last_at) AS last_at,
        CAST(sum(strange.sign_ins) AS BIGINT) AS sign_ins,
        list_sort(list(concat('AS', strange.asn))) AS networks,
        list_sort(list_distinct(flatten(list(strange.countries)))) AS countries,
        list_sort(list_distinct(flatten(list(strange.addresses)))) AS addresses
    FROM strange
    SEMI JOIN young USING (app_id)
    GROUP BY strange.app_id
),

steps AS (
    SELECT
        seen.app_id,
        granted.detail AS permission,
        granted.happened_at AS granted_at,
        granted.actor_name AS granted_by,
        credential.happened_at AS credential_at,
        credential.actor_name AS credential_by
    FROM seen
    ASOF LEFT JOIN (SELECT * FROM app_events WHERE event = 'application_permission added' AND is_dated) AS granted
        ON seen.app_id = granted.app_id AND seen.first_at >= granted.happened_at
    ASOF LEFT JOIN (SELECT * FROM app_events WHERE event = 'credential added' AND is_dated) AS credential
        ON seen.app_id = credential.app_id AND seen.first_at >= credential.happened_at
)

SELECT
    app.service_principal_id,
    app.app_id,
    app.display_name AS app_display_name,
    '' AS subject,
    CAST(len(seen.networks) AS DOUBLE) AS measure,
    CAST($min_high_permissions AS DOUBLE) AS threshold,
    concat(
        'The app was made on ', strftime(coalesce(app.added_on, app.created_at), '%Y-%m-%d'), ', holds ',
        app.high_privilege_count, CASE WHEN app.high_privilege_count = 1 THEN ' permission' ELSE ' permissions' END,
        ' of high privilege',
        coalesce(' (' || steps.permission || coalesce(' by ' || steps.granted_by, '') || ')', ''),
        coalesce(', got a credential on ' || strftime(steps.credential_at, '%Y-%m-%d %H:%M') || ' UTC'
            || coalesce(' by ' || steps.credential_by, ''), ''),
        ' and signs in from ', strftime(seen.first_at, '%Y-%m-%d %H:%M'), ' UTC on from ',
        array_to_string(seen.networks[1:3], ', '),
        CASE WHEN len(seen.countries) > 0 THEN ' in ' || array_to_string(seen.countries[1:3], ', ') ELSE '' END,
        ', where no other app and no person of the tenant was seen in ', $days_history, ' days.'
    ) AS reason,
    json_object(
        'networks', seen.networks, 'countries', seen.countries, 'addresses', seen.addresses[1:10],
        'sign_ins', seen.sign_ins, 'first_at', seen.first_at, 'last_at', seen.last_at, 'permission', steps.permission,
        'granted_at', steps.granted_at, 'granted_by', steps.granted_by, 'credential_at', steps.credential_at,
        'credential_by', steps.credential_by
    ) AS evidence
FROM seen
INNER JOIN steps
    ON seen.app_id = steps.app_id
INNER JOIN young AS app
    ON seen.app_id = app.app_id
ORDER BY app.service_principal_id
