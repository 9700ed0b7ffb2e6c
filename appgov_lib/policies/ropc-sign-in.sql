-- grain: app that signed in with people's passwords
-- source: stg_sign_ins, app_inventory
WITH passwords AS (
    SELECT
        app_id,
        count(*) AS sign_ins,
        count(DISTINCT user_id) AS users,
        list_sort(list(DISTINCT user_principal_name) FILTER (user_principal_name IS NOT NULL)) AS people,
        list_sort(list(DISTINCT ip_address) FILTER (ip_address IS NOT NULL)) AS addresses,
        min(created_at) AS first_at,
        max(created_at) AS last_at
    FROM stg_sign_ins
    WHERE
        authentication_protocol = 'ropc'
        AND error_code = 0
        AND app_id IS NOT NULL
        AND created_at >= CAST($as_of AS DATE) + 1 - $days
        AND created_at < CAST($as_of AS DATE) + 1
    GROUP BY app_id
)

SELECT
    app.service_principal_id,
    app.app_id,
    app.display_name AS app_display_name,
    '' AS subject,
    CAST(passwords.users AS DOUBLE) AS measure,
    CAST($min_users AS DOUBLE) AS threshold,
    concat(
        'The app signed in ', passwords.sign_ins, CASE WHEN passwords.sign_ins = 1 THEN ' time' ELSE ' times' END,
        ' with the password of ', passwords.users, CASE WHEN passwords.users = 1 THEN ' account' ELSE ' accounts' END,
        CASE WHEN len(passwords.people) > 0 THEN ' (' || array_to_string(passwords.people[1:3], ', ') || ')' ELSE '' END,
        ', the last time on ', strftime(passwords.last_at, '%Y-%m-%d'), '; no second factor is asked for that way.'
    ) AS reason,
    json_object(
        'sign_ins', passwords.sign_ins, 'users', passwords.users, 'people', passwords.people,
        'first_at', passwords.first_at, 'last_at', passwords.last_at, 'addresses', passwords.addresses[1:10]
    ) AS evidence
FROM passwords
INNER JOIN app_inventory AS app
    ON passwords.app_id = app.app_id
WHERE app.is_in_scope AND passwords.users >= $min_users
ORDER BY app.service_principal_id
