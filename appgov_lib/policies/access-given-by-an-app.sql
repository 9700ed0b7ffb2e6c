-- grain: app to which another app gave access
-- source: app_events, app_inventory
-- An app with the right to grant makes an administrator's consent unnecessary: what it gives, nobody was asked about.
WITH given AS (
    SELECT
        event.app_id,
        event.actor_id,
        max(event.actor_name) AS actor_name,
        min(event.happened_at) AS first_at,
        list(DISTINCT event.event || ': ' || event.detail) AS gifts
    FROM app_events AS event
    WHERE
        event.event IN (
            'application_permission added', 'delegated_grant added', 'credential added', 'owner added',
            'directory_role added'
        )
        AND event.actor_id IS NOT NULL
        AND event.happened_at >= CAST($as_of AS DATE) + 1 - $days
        AND event.happened_at < CAST($as_of AS DATE) + 1
    GROUP BY event.app_id, event.actor_id
)

SELECT
    app.service_principal_id,
    app.app_id,
    app.display_name AS app_display_name,
    given.actor_id AS subject,
    CAST(len(given.gifts) AS DOUBLE) AS measure,
    CAST($min_gifts AS DOUBLE) AS threshold,
    concat(
        'The app ', coalesce(giver.display_name, given.actor_name, 'without a name'), ' gave this app ', len(given.gifts),
        CASE WHEN len(given.gifts) = 1 THEN ' thing' ELSE ' things' END, ' from ',
        strftime(given.first_at, '%Y-%m-%d %H:%M'), ' UTC on (', array_to_string(list_sort(given.gifts)[1:3], ', '),
        '); no person consented.'
    ) AS reason,
    json_object(
        'given_by', coalesce(giver.display_name, given.actor_name), 'given_by_id', given.actor_id,
        'given_by_app_id', giver.app_id, 'first_at', given.first_at, 'gifts', list_sort(given.gifts)
    ) AS evidence
FROM given
INNER JOIN app_inventory AS app
    ON given.app_id = app.app_id
INNER JOIN app_inventory AS giver
    ON given.actor_id = giver.service_principal_id
WHERE
    app.is_first_party IS NOT TRUE
    AND app.service_principal_type IS DISTINCT FROM 'ManagedIdentity'
    -- Microsoft's services provision what people asked them for; an app that rotates its own keys gives itself nothing
    AND giver.is_first_party IS NOT TRUE
    AND giver.app_id <> app.app_id
    AND len(given.gifts) >= $min_gifts
ORDER BY app.service_principal_id, given.actor_id
