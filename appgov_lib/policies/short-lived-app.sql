-- grain: app that was created, used and removed within a short time
-- source: app_events
-- A sequence: each step is joined to the latest step before it that belongs to the same app.
WITH created AS (
    SELECT * FROM app_events WHERE event = 'app added' AND is_dated
),

removed AS (
    SELECT *
    FROM app_events
    WHERE
        event = 'app removed'
        AND is_dated
        AND happened_at >= CAST($as_of AS DATE) + 1 - $days
        AND happened_at < CAST($as_of AS DATE) + 1
),

life AS (
    SELECT
        removed.app_id,
        removed.service_principal_id,
        max(removed.display_name) AS display_name,
        min(created.happened_at) AS created_at,
        arg_min(created.actor_name, created.happened_at) AS created_by,
        max(removed.happened_at) AS removed_at,
        arg_max(removed.actor_name, removed.happened_at) AS removed_by
    FROM removed
    ASOF INNER JOIN created
        ON removed.app_id = created.app_id AND removed.happened_at >= created.happened_at
    WHERE removed.happened_at <= created.happened_at + $minutes * INTERVAL 1 MINUTE
    GROUP BY removed.app_id, removed.service_principal_id
),

between_times AS (
    SELECT
        life.app_id,
        bool_or(event.event = 'used') AS was_used,
        list(DISTINCT event.event) AS steps
    FROM life
    INNER JOIN app_events AS event
        ON life.app_id = event.app_id AND event.happened_at BETWEEN life.created_at AND life.removed_at
    WHERE event.event NOT IN ('app added', 'app removed')
    GROUP BY life.app_id
)

SELECT
    -- what is gone keeps the id that is known of it
    coalesce(life.service_principal_id, life.app_id) AS service_principal_id,
    life.app_id,
    life.display_name AS app_display_name,
    '' AS subject,
    CAST(date_diff('minute', life.created_at, life.removed_at) AS DOUBLE) AS measure,
    CAST($minutes AS DOUBLE) AS threshold,
    concat(
        'The app was created on ', strftime(life.created_at, '%Y-%m-%d %H:%M'), ' UTC',
        CASE WHEN life.created_by IS NULL THEN '' ELSE ' by ' || life.created_by END,
        ' and removed ', date_diff('minute', life.created_at, life.removed_at), ' minutes later',
        CASE WHEN life.removed_by IS NULL THEN '' ELSE ' by ' || life.removed_by END,
        '; in between: ', array_to_string(list_sort(between_times.steps)[1:5], ', '), '.'
    ) AS reason,
    json_object(
        'created_at', life.created_at, 'created_by', life.created_by, 'removed_at', life.removed_at,
        'removed_by', life.removed_by, 'was_used', between_times.was_used, 'steps', list_sort(between_times.steps)
    ) AS evidence
FROM life
INNER JOIN between_times
    ON life.app_id = between_times.app_id
ORDER BY life.app_id
