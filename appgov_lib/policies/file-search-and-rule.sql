-- grain: app that made its first known inbox rule and searched files within days of it
-- source: app_deeds_daily, api_calls_daily, app_inventory
-- The same rule may stand in several logs, so the log that shows most of it is told, not the sum.
WITH made AS (
    SELECT app_id, log, sum(events) AS rules, min(day) AS first_day, max(day) AS last_day
    FROM app_deeds_daily
    WHERE deed = 'inbox rule made' AND day > CAST($as_of AS DATE) - $days AND day <= CAST($as_of AS DATE)
    GROUP BY app_id, log
),

-- An app that made rules before does so for a living.
usual AS (
    SELECT DISTINCT app_id
    FROM app_deeds_daily
    WHERE
        deed = 'inbox rule made'
        AND day BETWEEN CAST($as_of AS DATE) - $days - CAST($history_days AS INTEGER) + 1
            AND CAST($as_of AS DATE) - $days
),

rules AS (
    SELECT app_id, max(rules) AS rules, min(first_day) AS first_day, max(last_day) AS last_day
    FROM made
    WHERE app_id NOT IN (SELECT app_id FROM usual)
    GROUP BY app_id
),

searches AS (
    SELECT rules.app_id, deeds.log, sum(deeds.events) AS events
    FROM rules
    INNER JOIN app_deeds_daily AS deeds
        ON
            rules.app_id = deeds.app_id
            AND deeds.day BETWEEN rules.first_day - CAST($days_between AS INTEGER)
            AND rules.last_day + CAST($days_between AS INTEGER)
    WHERE deeds.deed = 'files searched'
    GROUP BY rules.app_id, deeds.log
),

searched AS (
    SELECT app_id, max(events) AS searches, list_sort(list(DISTINCT log)) AS logs
    FROM searches
    GROUP BY app_id
),

known AS (
    SELECT app_id, min(day) AS day
    FROM (
        SELECT app_id, day FROM app_deeds_daily
        UNION ALL
        SELECT app_id, CAST(day AS DATE) FROM api_calls_daily
    )
    WHERE app_id IN (SELECT app_id FROM rules)
    GROUP BY app_id
)

SELECT
    app.service_principal_id,
    app.app_id,
    app.display_name AS app_display_name,
    '' AS subject,
    CAST(rules.rules AS DOUBLE) AS measure,
    CAST($min_searches AS DOUBLE) AS threshold,
    concat(
        'On ', strftime(rules.first_day, '%Y-%m-%d'), ' the app made ',
        CASE WHEN rules.rules = 1 THEN 'an inbox rule' ELSE concat('the first of ', rules.rules, ' inbox rules') END,
        ', which it had not been seen to do before, and within ', $days_between, ' days of it ',
        'searched files ', searched.searches, ' times',
        ' (known since ', strftime(known.day, '%Y-%m-%d'), ').'
    ) AS reason,
    json_object(
        'rules', rules.rules, 'first_rule_on', rules.first_day, 'last_rule_on', rules.last_day,
        'searches', searched.searches, 'logs', searched.logs, 'known_since', known.day,
        'publisher_verified', app.publisher_verified, 'privilege_level', app.privilege_level
    ) AS evidence
FROM rules
INNER JOIN searched
    ON rules.app_id = searched.app_id
INNER JOIN known
    ON rules.app_id = known.app_id
INNER JOIN app_inventory AS app
    ON rules.app_id = app.app_id
WHERE
    app.is_in_scope
    AND searched.searches >= $min_searches
ORDER BY app.service_principal_id
