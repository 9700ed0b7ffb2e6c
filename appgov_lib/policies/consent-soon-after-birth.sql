-- grain: app of another tenant and an unverified publisher that got strong permissions for everybody as it came
-- source: app_events, app_permissions, app_inventory
-- A sequence: each permission is joined to the latest time before it at which the app came.
WITH born AS (
    SELECT * FROM app_events WHERE event = 'app added' AND is_dated
),

strong AS (
    SELECT
        service_principal_id,
        concat(permission, ' of ', resource_name) AS detail,
        if(permission_type = 'delegated', 'delegated_grant added', 'application_permission added') AS event
    FROM app_permissions
    WHERE privilege_level = 'high' AND consent_type = 'admin'
),

granted AS (
    SELECT event.*
    FROM app_events AS event
    SEMI JOIN strong USING (service_principal_id, detail, event)
    WHERE
        event.is_dated
        AND event.happened_at >= CAST($as_of AS DATE) + 1 - $days
        AND event.happened_at < CAST($as_of AS DATE) + 1
),

sequence AS (
    SELECT
        granted.app_id,
        max(born.happened_at) AS born_at,
        min(granted.happened_at) AS granted_at,
        arg_min(granted.actor_id, (granted.happened_at, granted.detail)) AS actor_id,
        arg_min(granted.actor_name, (granted.happened_at, granted.detail)) AS actor_name,
        list_sort(list(DISTINCT granted.detail)) AS permissions
    FROM granted
    ASOF INNER JOIN born
        ON granted.app_id = born.app_id AND granted.happened_at >= born.happened_at
    WHERE granted.happened_at <= born.happened_at + $minutes * INTERVAL 1 MINUTE
    GROUP BY granted.app_id
)

SELECT
    app.service_principal_id,
    app.app_id,
    app.display_name AS app_display_name,
    '' AS subject,
    CAST(date_diff('minute', sequence.born_at, sequence.granted_at) AS DOUBLE) AS measure,
    CAST($minutes AS DOUBLE) AS threshold,
    concat(
        'The app came on ', strftime(sequence.born_at, '%Y-%m-%d %H:%M'), ' UTC and ',
        date_diff('minute', sequence.born_at, sequence.granted_at), ' minutes later ',
        coalesce(sequence.actor_name, 'somebody'), ' gave it for everybody: ',
        array_to_string(sequence.permissions[1:3], ', '), '; its publisher is not verified.'
    ) AS reason,
    json_object(
        'born_at', sequence.born_at, 'granted_at', sequence.granted_at, 'actor_id', sequence.actor_id,
        'actor_name', sequence.actor_name, 'permissions', sequence.permissions, 'publisher_name', app.publisher_name
    ) AS evidence
FROM sequence
INNER JOIN app_inventory AS app
    ON sequence.app_id = app.app_id
WHERE
    app.is_in_scope
    AND app.app_origin = 'external'
    -- of an outside app NULL means that no publisher is named, so nobody vouches for it
    AND app.publisher_verified IS NOT TRUE
ORDER BY app.service_principal_id
