-- grain: app x reading or sending, of which it did more in Teams than ever before
-- source: app_deeds_daily, api_calls_daily, app_inventory
-- Each log is compared with its own past; the log that shows most is told.
WITH daily AS (
    SELECT app_id, log, deed, day, events
    FROM app_deeds_daily
    WHERE
        deed IN ('chats read', 'chats sent')
        AND day BETWEEN CAST($as_of AS DATE) - $days - CAST($history_days AS INTEGER) + 1 AND CAST($as_of AS DATE)
),

known AS (
    SELECT app_id, log, min(day) AS day
    FROM (
        SELECT app_id, log, day FROM app_deeds_daily
        UNION ALL
        SELECT app_id, 'api_activity', CAST(day AS DATE) FROM api_calls_daily
    )
    WHERE app_id IN (SELECT app_id FROM daily)
    GROUP BY app_id, log
),

compared AS (
    SELECT
        daily.app_id,
        daily.log,
        daily.deed,
        known.day AS known_since,
        max(events) FILTER (daily.day > CAST($as_of AS DATE) - $days) AS most,
        arg_max(daily.day, (events, daily.day)) FILTER (daily.day > CAST($as_of AS DATE) - $days) AS most_on,
        coalesce(max(events) FILTER (daily.day <= CAST($as_of AS DATE) - $days), 0) AS most_before
    FROM daily
    INNER JOIN known ON daily.app_id = known.app_id AND daily.log = known.log
    GROUP BY daily.app_id, daily.log, daily.deed, known.day
)

SELECT
    app.service_principal_id,
    app.app_id,
    app.display_name AS app_display_name,
    compared.deed AS subject,
    CAST(compared.most AS DOUBLE) AS measure,
    CAST(greatest($min_messages, $times * compared.most_before) AS DOUBLE) AS threshold,
    concat(
        'On ', strftime(compared.most_on, '%Y-%m-%d'), ' the app ',
        CASE compared.deed WHEN 'chats read' THEN 'read' ELSE 'sent' END,
        ' messages of Teams ', compared.most, ' times',
        CASE
            WHEN compared.most_before = 0 THEN '; on no day before had it done so'
            ELSE concat('; on its busiest day before it was ', compared.most_before, ' times')
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
ORDER BY app.service_principal_id, compared.deed, compared.most DESC, compared.log
