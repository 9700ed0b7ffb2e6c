-- grain: app that read so much of a mailbox that Exchange stopped logging it
-- source: stg_office_activity, app_inventory
WITH records AS (
    SELECT
        app_id,
        occurred_at,
        coalesce(user_principal_name, user_id) AS mailbox,
        is_throttled,
        occurred_at >= CAST($as_of AS DATE) + 1 - $days AS is_now
    FROM stg_office_activity
    WHERE
        operation = 'MailItemsAccessed'
        AND app_id IS NOT NULL
        AND occurred_at >= CAST($as_of AS DATE) + 1 - $days - CAST($history_days AS INTEGER)
        AND occurred_at < CAST($as_of AS DATE) + 1
),

throttled AS (
    SELECT
        app_id,
        count(*) FILTER (is_throttled AND is_now) AS events,
        count(*) FILTER (is_throttled AND NOT is_now) AS events_before,
        count(*) FILTER (is_now) AS reads,
        min(occurred_at) FILTER (is_throttled AND is_now) AS first_at,
        min(occurred_at) AS known_since,
        list_sort(list(DISTINCT mailbox) FILTER (is_throttled AND is_now AND mailbox IS NOT NULL)) AS mailboxes
    FROM records
    GROUP BY app_id
)

SELECT
    app.service_principal_id,
    app.app_id,
    app.display_name AS app_display_name,
    '' AS subject,
    CAST(throttled.events AS DOUBLE) AS measure,
    CAST($min_events AS DOUBLE) AS threshold,
    concat(
        'On ', strftime(throttled.first_at, '%Y-%m-%d %H:%M'), ' UTC Exchange stopped logging single messages that',
        ' the app read, which it does after a thousand in a day; it was so in ', throttled.events, ' of ', throttled.reads,
        ' records',
        CASE
            WHEN len(throttled.mailboxes) > 0 THEN ', of ' || array_to_string(throttled.mailboxes[1:3], ', ')
            ELSE ''
        END,
        ', and in none before (the app is in the log since ', strftime(throttled.known_since, '%Y-%m-%d'), ').'
    ) AS reason,
    json_object(
        'events', throttled.events, 'records', throttled.reads, 'first_at', throttled.first_at,
        'mailboxes', throttled.mailboxes, 'known_since', throttled.known_since, 'app_origin', app.app_origin,
        'publisher_verified', app.publisher_verified, 'privilege_level', app.privilege_level
    ) AS evidence
FROM throttled
INNER JOIN app_inventory AS app
    ON throttled.app_id = app.app_id
WHERE
    app.is_in_scope
    AND throttled.events >= $min_events
    -- what is throttled week by week is an archive at work
    AND throttled.events_before = 0
ORDER BY app.service_principal_id
