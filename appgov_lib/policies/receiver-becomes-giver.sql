-- grain: highly privileged app to which a person gave access who had just been given access
-- source: stg_directory_audits, app_events, app_inventory
-- A sequence: what a person gives is joined to the latest access the same person got before it.
WITH events AS (
    SELECT
        activity,
        activity_at,
        actor_id,
        actor_name,
        CAST(CASE WHEN json_type(targets) = 'ARRAY' THEN targets END AS JSON[]) AS parts
    FROM stg_directory_audits
    WHERE
        regexp_matches(activity, '(?i)^add (owner to (application|service principal)|(eligible )?member to role.*)$')
        -- what MS-PIM adds was given before
        AND NOT contains(activity, 'activation')
        AND actor_name IS DISTINCT FROM 'MS-PIM'
        AND result IS DISTINCT FROM 'failure'
        AND activity_at < CAST($as_of AS DATE) + 1
),

received AS (
    SELECT
        list_filter(parts, lambda p: lower(p ->> '$.type') = 'user')[1] ->> '$.id' AS user_id,
        activity_at AS received_at,
        activity AS what,
        actor_name AS received_from
    FROM events
    WHERE
        user_id IS NOT NULL
        -- who makes himself an owner was given nothing
        AND actor_id <> user_id
),

sequence AS (
    SELECT
        event.app_id,
        event.actor_id,
        min(event.actor_name) AS actor_name,
        min(event.happened_at) AS given_at,
        list_sort(list(DISTINCT event.event || ': ' || event.detail)) AS gifts,
        max(received.received_at) AS received_at,
        arg_max(received.what, (received.received_at, received.what)) AS what,
        arg_max(received.received_from, (received.received_at, received.what)) AS received_from
    FROM app_events AS event
    ASOF INNER JOIN received
        ON event.actor_id = received.user_id AND event.happened_at >= received.received_at
    WHERE
        event.event IN ('owner added', 'application_permission added', 'directory_role added')
        AND event.is_dated
        AND event.happened_at >= CAST($as_of AS DATE) + 1 - $days
        AND event.happened_at < CAST($as_of AS DATE) + 1
        AND event.happened_at <= received.received_at + $hours * INTERVAL 1 HOUR
    GROUP BY event.app_id, event.actor_id
)

SELECT
    app.service_principal_id,
    app.app_id,
    app.display_name AS app_display_name,
    sequence.actor_id AS subject,
    CAST(len(sequence.gifts) AS DOUBLE) AS measure,
    CAST($hours AS DOUBLE) AS threshold,
    concat(
        coalesce(sequence.actor_name, sequence.actor_id), ' was given access on ',
        strftime(sequence.received_at, '%Y-%m-%d %H:%M'), ' UTC (', sequence.what, ')',
        coalesce(' by ' || sequence.received_from, ''), ' and gave access on from ',
        strftime(sequence.given_at, '%Y-%m-%d %H:%M'), ' UTC (', array_to_string(sequence.gifts[1:3], ', '),
        '); the app holds ', app.high_privilege_count,
        CASE WHEN app.high_privilege_count = 1 THEN ' permission' ELSE ' permissions' END, ' of high privilege.'
    ) AS reason,
    json_object(
        'actor_id', sequence.actor_id, 'actor_name', sequence.actor_name, 'received', sequence.what,
        'received_at', sequence.received_at, 'received_from', sequence.received_from, 'given_at', sequence.given_at,
        'gifts', sequence.gifts
    ) AS evidence
FROM sequence
INNER JOIN app_inventory AS app
    ON sequence.app_id = app.app_id
WHERE app.is_in_scope AND app.high_privilege_count >= $min_high_permissions
ORDER BY app.service_principal_id, sequence.actor_id
