-- grain: app that was given power over the directory and used it soon after
-- source: app_events, app_inventory, reference/takeover_permissions.csv
-- A sequence: each step is joined to the latest step before it that belongs to the same app.
WITH power AS (
    SELECT event.*
    FROM app_events AS event
    WHERE
        event.event = 'directory_role added'
        OR (
            event.event = 'application_permission added'
            AND split_part(event.detail, ' of ', 1) IN (SELECT permission FROM ref_takeover_permissions)
        )
),

deed AS (
    SELECT *
    FROM app_events
    WHERE
        event = 'acted'
        AND regexp_matches(detail, '(?i)(role|permission grant|app role assignment|credential|certificates and secrets|owner|federat)')
        AND happened_at >= CAST($as_of AS DATE) + 1 - $days
        AND happened_at < CAST($as_of AS DATE) + 1
),

sequence AS (
    SELECT
        deed.app_id,
        max(power.happened_at) AS power_at,
        arg_max(power.detail, power.happened_at) AS power,
        arg_max(power.actor_name, power.happened_at) AS actor_name,
        arg_max(power.actor_id, power.happened_at) AS actor_id,
        min(deed.happened_at) AS deed_at,
        list(DISTINCT deed.detail) AS deeds
    FROM deed
    ASOF INNER JOIN power
        ON deed.app_id = power.app_id AND deed.happened_at >= power.happened_at
    WHERE deed.happened_at <= power.happened_at + $hours * INTERVAL 1 HOUR
    GROUP BY deed.app_id
)

SELECT
    app.service_principal_id,
    app.app_id,
    app.display_name AS app_display_name,
    '' AS subject,
    CAST(len(sequence.deeds) AS DOUBLE) AS measure,
    CAST($hours AS DOUBLE) AS threshold,
    concat(
        'The app was given ', sequence.power, ' on ', strftime(sequence.power_at, '%Y-%m-%d %H:%M'), ' UTC',
        CASE WHEN sequence.actor_name IS NULL THEN '' ELSE ' by ' || sequence.actor_name END,
        ' and used such power from ', strftime(sequence.deed_at, '%Y-%m-%d %H:%M'), ' UTC: ',
        array_to_string(list_sort(sequence.deeds)[1:3], ', '), '.'
    ) AS reason,
    json_object(
        'power', sequence.power, 'power_at', sequence.power_at, 'actor_id', sequence.actor_id,
        'actor_name', sequence.actor_name, 'deed_at', sequence.deed_at, 'deeds', list_sort(sequence.deeds)
    ) AS evidence
FROM sequence
INNER JOIN app_inventory AS app
    ON sequence.app_id = app.app_id
WHERE
    app.is_first_party IS NOT TRUE
    AND app.service_principal_type IS DISTINCT FROM 'ManagedIdentity'
ORDER BY app.service_principal_id
