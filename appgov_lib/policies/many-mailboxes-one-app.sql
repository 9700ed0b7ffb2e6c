-- grain: app that read more mailboxes within ten minutes than ever before
-- source: stg_api_activity, api_calls_daily, app_inventory
-- The past is counted only of apps that were busy enough in the period: it is by far the larger part.
WITH busy AS MATERIALIZED (
    SELECT DISTINCT app_id
    FROM (
        SELECT app_id
        FROM stg_api_activity
        WHERE
            resource_type = 'messages' AND method = 'GET' AND status BETWEEN 200 AND 299 AND NOT is_batch_envelope
            AND called_at >= CAST($as_of AS DATE) + 1 - $days AND called_at < CAST($as_of AS DATE) + 1
        GROUP BY app_id, time_bucket($minutes * INTERVAL 1 MINUTE, called_at)
        HAVING count(*) >= $min_mailboxes
    )
),

bursts AS (
    SELECT
        app_id,
        time_bucket($minutes * INTERVAL 1 MINUTE, called_at) AS moment,
        -- a mailbox is named in the address, or is that of the user who is signed in
        count(DISTINCT CASE
            WHEN regexp_matches(path, '(?i)^/users/') THEN lower(split_part(path, '/', 3))
            ELSE user_id
        END) AS mailboxes,
        count(*) AS calls
    FROM stg_api_activity
    WHERE
        app_id IN (SELECT app_id FROM busy)
        AND resource_type = 'messages' AND method = 'GET' AND status BETWEEN 200 AND 299 AND NOT is_batch_envelope
        AND regexp_matches(path, '(?i)^/(me|users/[^/]+)/(messages|mailFolders)')
        AND called_at >= CAST($as_of AS DATE) - $days - CAST($history_days AS INTEGER) + 1
        AND called_at < CAST($as_of AS DATE) + 1
    GROUP BY ALL
),

known AS (
    SELECT app_id, min(CAST(day AS DATE)) AS day
    FROM api_calls_daily
    WHERE app_id IN (SELECT app_id FROM bursts WHERE mailboxes >= $min_mailboxes)
    GROUP BY app_id
),

compared AS (
    SELECT
        bursts.app_id,
        known.day AS known_since,
        max(mailboxes) FILTER (moment >= CAST($as_of AS DATE) + 1 - $days) AS most,
        arg_max({'moment': moment, 'calls': calls}, (mailboxes, moment))
            FILTER (moment >= CAST($as_of AS DATE) + 1 - $days) AS busiest,
        coalesce(max(mailboxes) FILTER (moment < CAST($as_of AS DATE) + 1 - $days), 0) AS most_before
    FROM bursts
    INNER JOIN known ON bursts.app_id = known.app_id
    GROUP BY bursts.app_id, known.day
)

SELECT
    app.service_principal_id,
    app.app_id,
    app.display_name AS app_display_name,
    '' AS subject,
    CAST(compared.most AS DOUBLE) AS measure,
    CAST(greatest($min_mailboxes, $times * compared.most_before) AS DOUBLE) AS threshold,
    concat(
        'Within ', $minutes, ' minutes from ', strftime(compared.busiest.moment, '%Y-%m-%d %H:%M'),
        ' UTC the app read in ', compared.most, ' mailboxes',
        CASE
            WHEN compared.most_before = 0 THEN '; before it had read in none'
            ELSE concat('; before, in as much time, it was ', compared.most_before, ' at most')
        END,
        ' (known since ', strftime(compared.known_since, '%Y-%m-%d'), ').'
    ) AS reason,
    json_object(
        'moment', compared.busiest.moment, 'calls', compared.busiest.calls, 'most_before', compared.most_before,
        'known_since', compared.known_since, 'app_origin', app.app_origin,
        'publisher_verified', app.publisher_verified, 'privilege_level', app.privilege_level
    ) AS evidence
FROM compared
INNER JOIN app_inventory AS app
    ON compared.app_id = app.app_id
WHERE
    app.is_in_scope
    -- new in the tenant, or known for long enough to say that it never did so
    AND (
        coalesce(app.added_on, app.created_at) >= CAST($as_of AS DATE) + 1 - CAST($days_new AS INTEGER)
        OR compared.known_since <= CAST($as_of AS DATE) - $days - CAST($min_history_days AS INTEGER)
    )
    AND compared.most >= greatest($min_mailboxes, $times * compared.most_before)
ORDER BY app.service_principal_id
