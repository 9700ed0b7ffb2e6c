-- grain: app that read more mail on one day than ever before, as the logs of activities tell
-- source: stg_office_activity, app_deeds_daily, app_inventory
-- Calls of Graph are judged by graph-call-spike: here count reads by any API, Exchange Web Services too.
WITH daily AS (
    -- of a mailbox that was synchronised nobody knows how many messages it was: such records count once
    SELECT
        app_id,
        'office_activity' AS log,
        CAST(occurred_at AS DATE) AS day,
        CAST(sum(coalesce(items, 1)) AS BIGINT) AS events
    FROM stg_office_activity
    WHERE
        operation = 'MailItemsAccessed' AND result IS DISTINCT FROM 'failure' AND app_id IS NOT NULL
        AND occurred_at >= CAST($as_of AS DATE) - $days - CAST($history_days AS INTEGER) + 1
        AND occurred_at < CAST($as_of AS DATE) + 1
    GROUP BY app_id, CAST(occurred_at AS DATE)
    UNION ALL
    SELECT app_id, log, day, events
    FROM app_deeds_daily
    WHERE
        deed = 'mail read'
        AND log = 'cloud_app_events'
        AND day BETWEEN CAST($as_of AS DATE) - $days - CAST($history_days AS INTEGER) + 1 AND CAST($as_of AS DATE)
),

known AS (
    SELECT app_id, log, min(day) AS day
    FROM app_deeds_daily
    WHERE app_id IN (SELECT app_id FROM daily)
    GROUP BY app_id, log
),

compared AS (
    SELECT
        daily.app_id,
        daily.log,
        known.day AS known_since,
        max(events) FILTER (daily.day > CAST($as_of AS DATE) - $days) AS most,
        arg_max(daily.day, (events, daily.day)) FILTER (daily.day > CAST($as_of AS DATE) - $days) AS most_on,
        coalesce(max(events) FILTER (daily.day <= CAST($as_of AS DATE) - $days), 0) AS most_before
    FROM daily
    INNER JOIN known ON daily.app_id = known.app_id AND daily.log = known.log
    GROUP BY daily.app_id, daily.log, known.day
)

SELECT
    app.service_principal_id,
    app.app_id,
    app.display_name AS app_display_name,
    '' AS subject,
    CAST(compared.most AS DOUBLE) AS measure,
    CAST(greatest($min_messages, $times * compared.most_before) AS DOUBLE) AS threshold,
    concat(
        'On ', strftime(compared.most_on, '%Y-%m-%d'), ' the app read ', compared.most, ' messages or more',
        CASE
            WHEN compared.most_before = 0 THEN '; on no day before had it done so'
            ELSE concat('; on its busiest day before it was ', compared.most_before)
        END,
        ' (known since ', strftime(compared.known_since, '%Y-%m-%d'), ').'
    ) AS reason,
    json_object(
        'most', compared.most, 'most_on', compared.most_on, 'most_before', compared.most_before, 'log', compared.log,
        'known_since', compared.known_since, 'publisher_verified', app.publisher_verified,
        'privilege_level', app.privilege_level
    ) AS evidence
FROM compared
INNER JOIN app_inventory AS app
    ON compared.app_id = app.app_id
WHERE
    app.is_in_scope
    AND compared.known_since <= CAST($as_of AS DATE) - $days - CAST($min_history_days AS INTEGER)
    AND compared.most >= greatest($min_messages, $times * compared.most_before)
ORDER BY app.service_principal_id, compared.most DESC, compared.log
