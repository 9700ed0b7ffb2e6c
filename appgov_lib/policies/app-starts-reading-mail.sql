-- grain: app that began to read mail, which it had not done before
-- source: app_deeds_daily, api_calls_daily, app_inventory
-- Each log is compared with its own past: one that was read for a week only does not make reading new.
WITH daily AS (
    SELECT app_id, log, day, events
    FROM app_deeds_daily
    WHERE
        deed = 'mail read'
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
        known.day AS known_since,
        sum(events) FILTER (daily.day > CAST($as_of AS DATE) - $days) AS reads,
        count(*) FILTER (daily.day > CAST($as_of AS DATE) - $days) AS days,
        min(daily.day) FILTER (daily.day > CAST($as_of AS DATE) - $days) AS began_on,
        count(*) FILTER (daily.day <= CAST($as_of AS DATE) - $days) AS days_before
    FROM daily
    INNER JOIN known ON daily.app_id = known.app_id AND daily.log = known.log
    GROUP BY daily.app_id, daily.log, known.day
)

SELECT
    app.service_principal_id,
    app.app_id,
    app.display_name AS app_display_name,
    '' AS subject,
    CAST(compared.reads AS DOUBLE) AS measure,
    CAST($min_reads AS DOUBLE) AS threshold,
    concat(
        'Since ', strftime(compared.began_on, '%Y-%m-%d'), ' the app reads mail, ', compared.reads, ' times on ',
        compared.days, CASE WHEN compared.days = 1 THEN ' day' ELSE ' days' END,
        '; it is known since ', strftime(compared.known_since, '%Y-%m-%d'), ' and had not read any until then.'
    ) AS reason,
    json_object(
        'began_on', compared.began_on, 'reads', compared.reads, 'days', compared.days, 'log', compared.log,
        'known_since', compared.known_since, 'consent_type', app.consent_type,
        'publisher_verified', app.publisher_verified, 'privilege_level', app.privilege_level
    ) AS evidence
FROM compared
INNER JOIN app_inventory AS app
    ON compared.app_id = app.app_id
WHERE
    app.is_in_scope
    AND compared.known_since <= CAST($as_of AS DATE) - $days - CAST($min_history_days AS INTEGER)
    AND compared.days_before = 0
    AND compared.reads >= $min_reads
ORDER BY app.service_principal_id, compared.reads DESC, compared.log
