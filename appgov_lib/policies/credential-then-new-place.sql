-- grain: app that got a credential and soon after showed up from a place it had never been
-- source: app_events, app_inventory
-- A sequence: each step is joined to the latest step before it that belongs to the same app.
WITH credential AS (
    SELECT * FROM app_events WHERE event = 'credential added'
),

place AS (
    SELECT *
    FROM app_events
    WHERE
        event IN ('new network', 'new country', 'new address block')
        AND happened_at >= CAST($as_of AS DATE) + 1 - $days
        AND happened_at < CAST($as_of AS DATE) + 1
),

sequence AS (
    SELECT
        place.app_id,
        min(credential.happened_at) AS credential_at,
        arg_min(credential.detail, credential.happened_at) AS credential,
        arg_min(credential.actor_id, credential.happened_at) AS actor_id,
        arg_min(credential.actor_name, credential.happened_at) AS actor_name,
        min(place.happened_at) AS place_at,
        list(DISTINCT place.event || ': ' || place.detail) AS places
    FROM place
    ASOF INNER JOIN credential
        ON place.app_id = credential.app_id AND place.happened_at >= credential.happened_at
    WHERE place.happened_at <= credential.happened_at + $hours * INTERVAL 1 HOUR
    GROUP BY place.app_id
),

-- What it began to call after that: the step that does the harm, when there is one.
calls AS (
    SELECT
        sequence.app_id,
        list(DISTINCT event.detail) AS endpoints
    FROM sequence
    INNER JOIN app_events AS event
        ON sequence.app_id = event.app_id AND event.event = 'new endpoint family'
    WHERE event.happened_at >= sequence.credential_at
    GROUP BY sequence.app_id
)

SELECT
    app.service_principal_id,
    app.app_id,
    app.display_name AS app_display_name,
    '' AS subject,
    CAST(len(sequence.places) AS DOUBLE) AS measure,
    CAST($hours AS DOUBLE) AS threshold,
    concat(
        'A credential was added on ', strftime(sequence.credential_at, '%Y-%m-%d %H:%M'), ' UTC',
        CASE WHEN sequence.actor_name IS NULL THEN '' ELSE ' by ' || sequence.actor_name END,
        ', and from ', strftime(sequence.place_at, '%Y-%m-%d %H:%M'), ' UTC the app was seen from where it had never been (',
        array_to_string(list_sort(sequence.places)[1:3], ', '), ')',
        CASE
            WHEN len(calls.endpoints) > 0
                THEN ' and began to call ' || array_to_string(list_sort(calls.endpoints)[1:3], ', ')
            ELSE ''
        END,
        '.'
    ) AS reason,
    json_object(
        'credential', sequence.credential, 'credential_at', sequence.credential_at, 'actor_id', sequence.actor_id,
        'actor_name', sequence.actor_name, 'place_at', sequence.place_at, 'places', list_sort(sequence.places),
        'new_endpoints', list_sort(coalesce(calls.endpoints, []))
    ) AS evidence
FROM sequence
INNER JOIN app_inventory AS app
    ON sequence.app_id = app.app_id
LEFT JOIN calls
    ON sequence.app_id = calls.app_id
WHERE
    app.is_first_party IS NOT TRUE
    AND app.service_principal_type IS DISTINCT FROM 'ManagedIdentity'
ORDER BY app.service_principal_id
