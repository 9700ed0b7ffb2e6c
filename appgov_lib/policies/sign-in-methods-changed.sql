-- grain: app x person (or the app itself) that changed how people sign in, for the first time
-- source: stg_api_activity, stg_directory_audits, app_inventory, stg_users
WITH changes AS (
    SELECT
        app_id,
        -- of an app that acts as itself no person is behind the call
        CASE WHEN is_app_only IS TRUE THEN '' ELSE coalesce(user_id, '') END AS user_id,
        called_at AS changed_at,
        concat(method, ' ', endpoint) AS what,
        ip_address
    FROM stg_api_activity
    WHERE
        method IN ('PATCH', 'PUT', 'POST', 'DELETE') AND status BETWEEN 200 AND 299 AND NOT is_batch_envelope
        AND regexp_matches(
            endpoint, '(?i)^/(policies|identity/conditionalAccess)/(authenticationMethodsPolicy|authenticationStrength)'
        )
        AND called_at >= CAST($as_of AS DATE) + 1 - $days - CAST($history_days AS INTEGER)
        AND called_at < CAST($as_of AS DATE) + 1
    UNION ALL
    -- the audit log names a person or an app, and of a person not the program: only apps are taken from it
    SELECT actor_app_id, '', activity_at, activity, actor_ip
    FROM stg_directory_audits
    WHERE
        result = 'success' AND actor_type = 'service_principal' AND actor_app_id IS NOT NULL
        AND regexp_matches(activity, '(?i)authentication (methods? policy|strength)')
        AND activity_at >= CAST($as_of AS DATE) + 1 - $days - CAST($history_days AS INTEGER)
        AND activity_at < CAST($as_of AS DATE) + 1
),

actors AS (
    SELECT
        app_id,
        user_id,
        count(*) AS changes,
        min(changed_at) AS first_at,
        max(changed_at) AS last_at,
        list_sort(list(DISTINCT what)) AS whats,
        list_sort(list(DISTINCT ip_address) FILTER (ip_address IS NOT NULL)) AS addresses
    FROM changes
    WHERE app_id IS NOT NULL
    GROUP BY app_id, user_id
),

-- A person who has done so with another program is no newcomer to it.
newcomers AS (
    SELECT actors.*
    FROM actors
    ANTI JOIN actors AS earlier
        ON actors.user_id = earlier.user_id
        AND (actors.user_id <> '' OR actors.app_id = earlier.app_id)
        AND earlier.first_at < CAST($as_of AS DATE) + 1 - $days
)

SELECT
    coalesce(app.service_principal_id, newcomers.app_id) AS service_principal_id,
    newcomers.app_id,
    coalesce(app.display_name, newcomers.app_id) AS app_display_name,
    newcomers.user_id AS subject,
    CAST(newcomers.changes AS DOUBLE) AS measure,
    CAST($min_changes AS DOUBLE) AS threshold,
    concat(
        CASE
            WHEN newcomers.user_id = '' THEN 'The app itself'
            ELSE coalesce(person.user_principal_name, 'The user ' || newcomers.user_id)
        END,
        ' changed how people prove who they are, ', newcomers.changes,
        CASE WHEN newcomers.changes = 1 THEN ' time' ELSE ' times' END, ' from ',
        strftime(newcomers.first_at, '%Y-%m-%d %H:%M'), ' UTC on (', array_to_string(newcomers.whats[1:3], ', '),
        '), and not once in the ', CAST($history_days AS INTEGER), ' days before, as far as the log goes back.'
    ) AS reason,
    json_object(
        'user_id', newcomers.user_id, 'user_principal_name', person.user_principal_name, 'changes', newcomers.whats,
        'first_at', newcomers.first_at, 'last_at', newcomers.last_at, 'addresses', newcomers.addresses[1:10],
        'is_microsoft', app.is_first_party, 'app_origin', app.app_origin
    ) AS evidence
FROM newcomers
LEFT JOIN app_inventory AS app ON newcomers.app_id = app.app_id
LEFT JOIN stg_users AS person ON newcomers.user_id = person.user_id
WHERE
    newcomers.changes >= $min_changes
    -- services of Microsoft's change these policies by themselves; a person behind one of its programs is judged
    AND (newcomers.user_id <> '' OR app.is_in_scope)
ORDER BY service_principal_id, subject
