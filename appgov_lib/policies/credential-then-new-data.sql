-- grain: app that got a credential and soon after called a kind of data it had never called
-- source: app_events, app_inventory
-- A sequence: each step is joined to the latest step before it that belongs to the same app.
WITH credential AS (
    SELECT * FROM app_events WHERE event = 'credential added'
),

touched AS (
    SELECT
        *,
        CASE
            WHEN regexp_matches(detail, '(?i)^/(chats|teams/\{id\}/(channels|allchannels|primarychannel))|/chats$')
                THEN 'chats'
            WHEN regexp_matches(detail, '(?i)/(messages|mailfolders|sendmail)$') THEN 'mail'
            WHEN regexp_matches(detail, '(?i)^/(drives|shares|drive|sites)(/|$)|/(drive|drives|onenote)$') THEN 'files'
        END AS kind
    FROM app_events
    WHERE
        event = 'new endpoint family'
        AND happened_at >= CAST($as_of AS DATE) + 1 - $days
        AND happened_at < CAST($as_of AS DATE) + 1
),

sequence AS (
    SELECT
        touched.app_id,
        max(credential.happened_at) AS credential_at,
        arg_max(credential.detail, (credential.happened_at, credential.detail)) AS credential,
        arg_max(credential.actor_id, (credential.happened_at, credential.actor_id)) AS actor_id,
        arg_max(credential.actor_name, (credential.happened_at, credential.actor_name)) AS actor_name,
        min(touched.happened_at) AS touched_at,
        list_sort(list(DISTINCT touched.kind)) AS kinds,
        list_sort(list(DISTINCT touched.detail)) AS endpoints
    FROM touched
    ASOF INNER JOIN credential
        ON touched.app_id = credential.app_id AND touched.happened_at >= credential.happened_at
    WHERE
        touched.kind IS NOT NULL
        AND touched.happened_at <= credential.happened_at + $hours * INTERVAL 1 HOUR
    GROUP BY touched.app_id
)

SELECT
    app.service_principal_id,
    app.app_id,
    app.display_name AS app_display_name,
    '' AS subject,
    CAST(len(sequence.endpoints) AS DOUBLE) AS measure,
    CAST($hours AS DOUBLE) AS threshold,
    concat(
        'A credential was added on ', strftime(sequence.credential_at, '%Y-%m-%d %H:%M'), ' UTC',
        CASE WHEN sequence.actor_name IS NULL THEN '' ELSE ' by ' || sequence.actor_name END,
        ', and from ', strftime(sequence.touched_at, '%Y-%m-%d %H:%M'), ' UTC the app called for ',
        array_to_string(sequence.kinds, ' and '), ' that it had never called for (',
        array_to_string(sequence.endpoints[1:3], ', '), ').'
    ) AS reason,
    json_object(
        'credential', sequence.credential, 'credential_at', sequence.credential_at, 'actor_id', sequence.actor_id,
        'actor_name', sequence.actor_name, 'touched_at', sequence.touched_at, 'kinds', sequence.kinds,
        'endpoints', sequence.endpoints, 'app_origin', app.app_origin, 'privilege_level', app.privilege_level
    ) AS evidence
FROM sequence
INNER JOIN app_inventory AS app
    ON sequence.app_id = app.app_id
WHERE app.is_in_scope
ORDER BY app.service_principal_id
