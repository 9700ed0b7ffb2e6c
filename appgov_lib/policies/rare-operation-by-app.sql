-- grain: app that for the first time changed something that gives power over the directory
-- source: app_events, app_inventory
WITH firsts AS (
    SELECT
        app_id,
        detail,
        min(happened_at) AS first_at
    FROM app_events
    WHERE event = 'acted' AND is_dated
    GROUP BY app_id, detail
),

apps AS (
    SELECT
        app_id,
        min(first_at) AS known_from,
        count(*) FILTER (first_at < CAST($as_of AS DATE) + 1 - $days) AS kinds_before
    FROM firsts
    GROUP BY app_id
    -- of an app that just began everything is new
    HAVING min(first_at) < CAST($as_of AS DATE) + 1 - CAST($days_history AS INTEGER)
),

news AS (
    SELECT
        firsts.app_id,
        min(firsts.first_at) AS first_at,
        list_sort(list(firsts.detail)) AS deeds,
        min(apps.known_from) AS known_from,
        min(apps.kinds_before) AS kinds_before
    FROM firsts
    INNER JOIN apps
        ON firsts.app_id = apps.app_id
    WHERE
        firsts.first_at >= CAST($as_of AS DATE) + 1 - $days
        AND firsts.first_at < CAST($as_of AS DATE) + 1
        AND regexp_matches(
            firsts.detail,
            '(?i)(role|permission grant|consent|credential|certificates and secrets|owner|federat|policy|domain)'
        )
    GROUP BY firsts.app_id
)

SELECT
    app.service_principal_id,
    app.app_id,
    app.display_name AS app_display_name,
    '' AS subject,
    CAST(len(news.deeds) AS DOUBLE) AS measure,
    CAST(1 AS DOUBLE) AS threshold,
    concat(
        'From ', strftime(news.first_at, '%Y-%m-%d %H:%M'), ' UTC on the app did what it had not done since ',
        strftime(news.known_from, '%Y-%m-%d'), ', when it was first seen to act: ',
        array_to_string(news.deeds[1:3], ', '), '. Before, it did ', news.kinds_before,
        CASE WHEN news.kinds_before = 1 THEN ' kind of thing.' ELSE ' kinds of things.' END
    ) AS reason,
    json_object(
        'deeds', news.deeds, 'first_at', news.first_at, 'known_from', news.known_from,
        'kinds_before', news.kinds_before
    ) AS evidence
FROM news
INNER JOIN app_inventory AS app
    ON news.app_id = app.app_id
WHERE
    app.is_first_party IS NOT TRUE
    AND app.service_principal_type IS DISTINCT FROM 'ManagedIdentity'
ORDER BY app.service_principal_id
