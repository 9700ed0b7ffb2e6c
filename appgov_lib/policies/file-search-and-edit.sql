-- grain: app that searched and edited files on one day more than ever before
-- source: app_deeds_daily, api_calls_daily, app_inventory
-- Both deeds are counted in the same log and compared with the past of that log.
WITH daily AS (
    SELECT
        app_id,
        log,
        day,
        coalesce(sum(events) FILTER (deed = 'files searched'), 0) AS searches,
        coalesce(sum(events) FILTER (deed = 'files edited'), 0) AS edits
    FROM app_deeds_daily
    WHERE
        deed IN ('files searched', 'files edited')
        AND day BETWEEN CAST($as_of AS DATE) - $days - CAST($history_days AS INTEGER) + 1 AND CAST($as_of AS DATE)
    GROUP BY app_id, log, day
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

-- The smaller of the two numbers counts: an app that only edits is an editor, one that only searches an index.
compared AS (
    SELECT
        daily.app_id,
        daily.log,
        known.day AS known_since,
        max(least(searches, edits)) FILTER (daily.day > CAST($as_of AS DATE) - $days) AS most,
        arg_max({'day': daily.day, 'searches': searches, 'edits': edits}, (least(searches, edits), daily.day))
            FILTER (daily.day > CAST($as_of AS DATE) - $days) AS busiest,
        coalesce(max(least(searches, edits)) FILTER (daily.day <= CAST($as_of AS DATE) - $days), 0) AS most_before
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
    CAST(greatest($min_each, $times * compared.most_before) AS DOUBLE) AS threshold,
    concat(
        'On ', strftime(compared.busiest.day, '%Y-%m-%d'), ' the app searched files ', compared.busiest.searches,
        ' times and edited ', compared.busiest.edits,
        CASE
            WHEN compared.most_before = 0 THEN '; on no day before had it done both'
            ELSE concat('; on its busiest day before it did at least ', compared.most_before, ' of each')
        END,
        ' (known since ', strftime(compared.known_since, '%Y-%m-%d'), ').'
    ) AS reason,
    json_object(
        'day', compared.busiest.day, 'searches', compared.busiest.searches, 'edits', compared.busiest.edits,
        'most_before', compared.most_before, 'log', compared.log, 'known_since', compared.known_since,
        'publisher_verified', app.publisher_verified, 'privilege_level', app.privilege_level
    ) AS evidence
FROM compared
INNER JOIN app_inventory AS app
    ON compared.app_id = app.app_id
WHERE
    app.is_in_scope
    AND compared.known_since <= CAST($as_of AS DATE) - $days - CAST($min_history_days AS INTEGER)
    AND compared.most >= greatest($min_each, $times * compared.most_before)
ORDER BY app.service_principal_id, compared.log
