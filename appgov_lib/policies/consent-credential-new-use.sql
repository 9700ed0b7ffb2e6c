-- grain: app that was given a permission, then a credential, and then showed up in a new place or began with mail
-- source: app_events, app_permissions, stg_sign_ins, app_inventory
-- A sequence: each step is joined to the latest step before it that belongs to the same app.
WITH harmless AS (
    SELECT
        app_id,
        if(permission_type = 'delegated', 'delegated_grant added', 'application_permission added') AS event,
        concat(permission, ' of ', resource_name) AS detail
    FROM app_permissions
    WHERE privilege_level = 'low'
),

granted AS (
    SELECT *
    FROM app_events
    ANTI JOIN harmless USING (app_id, event, detail)
    WHERE event IN ('delegated_grant added', 'application_permission added') AND is_dated
),

credential AS (
    SELECT
        event.app_id,
        event.happened_at,
        event.detail,
        event.actor_id,
        event.actor_name,
        granted.happened_at AS granted_at,
        granted.detail AS permission,
        granted.actor_name AS granted_by
    FROM app_events AS event
    ASOF INNER JOIN granted
        ON event.app_id = granted.app_id AND event.happened_at >= granted.happened_at
    WHERE
        event.event = 'credential added'
        AND event.is_dated
        AND event.happened_at <= granted.happened_at + $hours_to_credential * INTERVAL 1 HOUR
),

-- Places of the app itself, without a user: where people are says nothing of the app.
place AS (
    SELECT app_id, 'new network' AS event, 'AS' || asn AS detail
    FROM stg_sign_ins
    WHERE sign_in_type = 'service_principal' AND error_code = 0
    UNION
    SELECT app_id, 'new country', country
    FROM stg_sign_ins
    WHERE sign_in_type = 'service_principal' AND error_code = 0
),

use AS (
    SELECT
        event.*,
        event.event || ': ' || event.detail AS what
    FROM app_events AS event
    LEFT JOIN place
        ON event.app_id = place.app_id AND event.event = place.event AND event.detail = place.detail
    WHERE
        (
            place.app_id IS NOT NULL
            OR (
                event.event = 'new endpoint family'
                AND regexp_matches(event.detail, '(?i)/(messages|mailFolders|sendMail)$')
            )
        )
        AND event.happened_at >= CAST($as_of AS DATE) + 1 - $days
        AND event.happened_at < CAST($as_of AS DATE) + 1
),

sequence AS (
    SELECT
        use.app_id,
        min(credential.granted_at) AS granted_at,
        arg_min(credential.permission, (credential.granted_at, credential.permission)) AS permission,
        arg_min(credential.granted_by, (credential.granted_at, credential.permission)) AS granted_by,
        min(credential.happened_at) AS credential_at,
        arg_min(credential.detail, (credential.happened_at, credential.detail)) AS credential,
        arg_min(credential.actor_id, (credential.happened_at, credential.detail)) AS actor_id,
        arg_min(credential.actor_name, (credential.happened_at, credential.detail)) AS actor_name,
        min(use.happened_at) AS used_at,
        list_sort(list(DISTINCT use.what)) AS uses
    FROM use
    ASOF INNER JOIN credential
        ON use.app_id = credential.app_id AND use.happened_at >= credential.happened_at
    WHERE use.happened_at <= credential.happened_at + $days_to_use * INTERVAL 1 DAY
    GROUP BY use.app_id
)

SELECT
    app.service_principal_id,
    app.app_id,
    app.display_name AS app_display_name,
    '' AS subject,
    CAST(len(sequence.uses) AS DOUBLE) AS measure,
    CAST($days_to_use AS DOUBLE) AS threshold,
    concat(
        'The app was given ', sequence.permission, ' on ', strftime(sequence.granted_at, '%Y-%m-%d %H:%M'), ' UTC',
        coalesce(' by ' || sequence.granted_by, ''), ', a credential on ',
        strftime(sequence.credential_at, '%Y-%m-%d %H:%M'), ' UTC', coalesce(' by ' || sequence.actor_name, ''),
        ', and from ', strftime(sequence.used_at, '%Y-%m-%d %H:%M'), ' UTC it did what it had never done (',
        array_to_string(sequence.uses[1:3], ', '), ').'
    ) AS reason,
    json_object(
        'permission', sequence.permission, 'granted_at', sequence.granted_at, 'granted_by', sequence.granted_by,
        'credential', sequence.credential, 'credential_at', sequence.credential_at, 'actor_id', sequence.actor_id,
        'actor_name', sequence.actor_name, 'used_at', sequence.used_at, 'uses', sequence.uses
    ) AS evidence
FROM sequence
INNER JOIN app_inventory AS app
    ON sequence.app_id = app.app_id
WHERE app.is_in_scope
ORDER BY app.service_principal_id
