-- grain: app that made its first known inbox rule and read or searched mail within days of it
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

readings AS (
    SELECT rules.app_id, deeds.deed, deeds.log, sum(deeds.events) AS events
    FROM rules
    INNER JOIN app_deeds_daily AS deeds
        ON
            rules.app_id = deeds.app_id
            AND deeds.day BETWEEN rules.first_day - CAST($days_between AS INTEGER)
            AND rules.last_day + CAST($days_between AS INTEGER)
    WHERE deeds.deed IN ('mail read', 'mail searched')
    GROUP BY rules.app_id, deeds.deed, deeds.log
),

read_mail AS (
    SELECT
        app_id,
        coalesce(max(events) FILTER (deed = 'mail read'), 0) AS reads,
        coalesce(max(events) FILTER (deed = 'mail searched'), 0) AS searches,
        list_sort(list(DISTINCT log)) AS logs
    FROM readings
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
    CAST($min_reads AS DOUBLE) AS threshold,
    concat(
        'On ', strftime(rules.first_day, '%Y-%m-%d'), ' the app made ',
        CASE WHEN rules.rules = 1 THEN 'an inbox rule' ELSE concat('the first of ', rules.rules, ' inbox rules') END,
        ', which it had not been seen to do before, and within ', $days_between, ' days of it ',
        concat_ws(' and ',
            CASE WHEN read_mail.reads > 0 THEN concat('read mail ', read_mail.reads, ' times') END,
            CASE WHEN read_mail.searches > 0 THEN concat('searched it ', read_mail.searches, ' times') END),
        ' (known since ', strftime(known.day, '%Y-%m-%d'), ').'
    ) AS reason,
    json_object(
        'rules', rules.rules, 'first_rule_on', rules.first_day, 'last_rule_on', rules.last_day,
        'reads', read_mail.reads, 'searches', read_mail.searches, 'logs', read_mail.logs, 'known_since', known.day,
        'publisher_verified', app.publisher_verified, 'privilege_level', app.privilege_level
    ) AS evidence
FROM rules
INNER JOIN read_mail
    ON rules.app_id = read_mail.app_id
INNER JOIN known
    ON rules.app_id = known.app_id
INNER JOIN app_inventory AS app
    ON rules.app_id = app.app_id
WHERE
    app.is_in_scope
    AND read_mail.reads + read_mail.searches >= $min_reads
ORDER BY app.service_principal_id
