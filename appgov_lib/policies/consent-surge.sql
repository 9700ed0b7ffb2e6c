-- grain: app of another tenant to which many more users consented than before
-- source: grant_history, app_inventory
WITH users AS (
    SELECT
        service_principal_id,
        principal_id,
        -- NULL: there before the first snapshot and dated by nothing, so older than what history can tell
        CASE WHEN bool_or(valid_from IS NULL) THEN NULL ELSE min(valid_from) END AS consented_from,
        CASE WHEN bool_or(valid_to IS NULL) THEN NULL ELSE max(valid_to) END AS consented_to
    FROM grant_history
    WHERE
        permission_type = 'delegated'
        AND consent_type = 'user'
        AND principal_id IS NOT NULL
    GROUP BY service_principal_id, principal_id
),

counted AS (
    SELECT
        service_principal_id,
        count(*) FILTER (
            coalesce(consented_from < CAST($as_of AS DATE) + 1, TRUE)
            AND coalesce(consented_to >= CAST($as_of AS DATE) + 1, TRUE)
        ) AS users_now,
        count(*) FILTER (
            coalesce(consented_from < CAST($as_of AS DATE) + 1 - $days_history * INTERVAL 1 DAY, TRUE)
            AND coalesce(consented_to >= CAST($as_of AS DATE) + 1 - $days_history * INTERVAL 1 DAY, TRUE)
        ) AS users_before,
        min(consented_from) FILTER (
            consented_from >= CAST($as_of AS DATE) + 1 - $days_history * INTERVAL 1 DAY
        ) AS first_new_at
    FROM users
    GROUP BY service_principal_id
)

SELECT
    app.service_principal_id,
    app.app_id,
    app.display_name AS app_display_name,
    '' AS subject,
    CAST(counted.users_now - counted.users_before AS DOUBLE) AS measure,
    CAST($min_new_users AS DOUBLE) AS threshold,
    concat(
        'Users who consented went from ', counted.users_before, ' to ', counted.users_now, ' in ', $days_history,
        ' days', coalesce(', the first new one on ' || strftime(counted.first_new_at, '%Y-%m-%d'), ''), '.'
    ) AS reason,
    json_object(
        'users_before', counted.users_before,
        'users_now', counted.users_now,
        'first_new_at', counted.first_new_at,
        'publisher_name', app.publisher_name,
        'publisher_verified', app.publisher_verified,
        'privilege_level', app.privilege_level,
        'reply_urls', app.reply_urls
    ) AS evidence
FROM counted
INNER JOIN app_inventory AS app
    ON counted.service_principal_id = app.service_principal_id
WHERE
    app.is_in_scope
    AND app.app_origin = 'external'
    AND app.status = 'enabled'
    -- A handful of users doubles easily; both a number and a share must be reached.
    AND counted.users_now - counted.users_before >= $min_new_users
    AND (counted.users_now - counted.users_before) * 100 >= counted.users_before * $min_growth_percent
ORDER BY app.service_principal_id
