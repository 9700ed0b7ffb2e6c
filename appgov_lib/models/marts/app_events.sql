-- grain: event of an app: something that was done to it, that it did as an actor, or that it showed for the first time
-- source: changes, app_first_seen, stg_directory_audits, stg_sign_ins, api_calls_daily, stg_service_principals
-- What sequences are made of. Uses are kept of apps to which something was done, one a day; deeds one a day and kind.
WITH done_to AS (
    SELECT
        change_id AS event_id,
        app_id,
        changed_at AS happened_at,
        kind || ' ' || change AS event,
        subject AS detail,
        actor_id,
        actor_name,
        display_name,
        -- between two readings nobody knows when
        source <> 'snapshot' AS is_dated
    FROM changes
    WHERE app_id IS NOT NULL
),

shown AS (
    SELECT
        md5(concat_ws(' ', app_id, family, dimension, value)) AS event_id,
        app_id,
        first_seen_at AS happened_at,
        'new ' || replace(dimension, '_', ' ') AS event,
        value AS detail,
        first_seen_at <> first_seen AS is_dated
    FROM app_first_seen
    WHERE novelty = 'new'
),

deeds AS (
    SELECT
        md5(concat_ws(' ', s.app_id, a.actor_id, a.activity, CAST(a.activity_at AS DATE))) AS event_id,
        s.app_id,
        min(a.activity_at) AS happened_at,
        'acted' AS event,
        a.activity AS detail,
        a.actor_id,
        max(a.actor_name) AS actor_name,
        true AS is_dated
    FROM stg_directory_audits AS a
    INNER JOIN stg_service_principals AS s ON s.service_principal_id = a.actor_id
    WHERE a.actor_type = 'service_principal' AND a.result IS DISTINCT FROM 'failure'
        AND a.activity_at < CAST($as_of AS DATE) + 1
    GROUP BY s.app_id, a.actor_id, a.activity, CAST(a.activity_at AS DATE)
),

uses AS (
    SELECT app_id, created_at AS happened_at FROM stg_sign_ins WHERE created_at < CAST($as_of AS DATE) + 1
    UNION ALL
    SELECT app_id, first_called_at AS happened_at FROM api_calls_daily
),

used AS (
    SELECT
        md5(concat_ws(' ', u.app_id, 'used', CAST(u.happened_at AS DATE))) AS event_id,
        u.app_id,
        min(u.happened_at) AS happened_at,
        'used' AS event,
        '' AS detail,
        true AS is_dated
    FROM uses AS u
    SEMI JOIN done_to AS d ON d.app_id = u.app_id
    GROUP BY u.app_id, CAST(u.happened_at AS DATE)
),

events AS (
    SELECT * FROM done_to
    UNION ALL BY NAME
    SELECT * FROM shown
    UNION ALL BY NAME
    SELECT * FROM deeds
    UNION ALL BY NAME
    SELECT * FROM used
),

names AS (
    SELECT app_id, min(service_principal_id) AS service_principal_id, min(display_name) AS display_name
    FROM stg_service_principals
    GROUP BY app_id
)

SELECT
    e.event_id,
    e.app_id,
    n.service_principal_id,
    coalesce(n.display_name, e.display_name) AS display_name,
    e.happened_at,
    e.event,
    e.detail,
    e.actor_id,
    e.actor_name,
    e.is_dated
FROM events AS e
LEFT JOIN names AS n ON n.app_id = e.app_id
WHERE e.happened_at IS NOT NULL
ORDER BY e.app_id, e.happened_at, e.event, e.detail, e.actor_id
