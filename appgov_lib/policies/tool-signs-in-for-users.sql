-- grain: app through which a program of the command line signed in for people
-- source: stg_sign_ins, app_inventory, reference/tool_user_agents.csv, reference/first_party_apps.csv
WITH tools AS (
    SELECT
        coalesce(sign_in.app_id, sign_in.app_name) AS key,
        max(sign_in.app_id) AS app_id,
        max(sign_in.app_name) AS name,
        count(*) AS sign_ins,
        count(DISTINCT sign_in.user_id) AS users,
        min(sign_in.created_at) AS first_at,
        max(sign_in.created_at) AS last_at,
        list(DISTINCT tool.tool) AS tools,
        list(DISTINCT sign_in.user_principal_name) FILTER (sign_in.user_principal_name IS NOT NULL) AS people,
        list(DISTINCT sign_in.ip_address) FILTER (sign_in.ip_address IS NOT NULL) AS addresses
    FROM stg_sign_ins AS sign_in
    INNER JOIN ref_tool_user_agents AS tool
        ON starts_with(lower(sign_in.user_agent), tool.prefix)
    WHERE
        sign_in.sign_in_type IN ('interactive', 'non_interactive')
        AND sign_in.error_code = 0
        AND sign_in.created_at >= CAST($as_of AS DATE) + 1 - $days
        AND sign_in.created_at < CAST($as_of AS DATE) + 1
    GROUP BY coalesce(sign_in.app_id, sign_in.app_name)
)

SELECT
    coalesce(app.service_principal_id, tools.app_id) AS service_principal_id,
    tools.app_id,
    coalesce(app.display_name, tools.name) AS app_display_name,
    '' AS subject,
    CAST(tools.sign_ins AS DOUBLE) AS measure,
    CAST($min_sign_ins AS DOUBLE) AS threshold,
    concat(
        array_to_string(list_sort(tools.tools)[1:3], ', '), ' signed in through the app ', tools.sign_ins,
        CASE WHEN tools.sign_ins = 1 THEN ' time' ELSE ' times' END, ' for ',
        CASE WHEN len(tools.people) > 0 THEN array_to_string(list_sort(tools.people)[1:3], ', ') ELSE 'people not named' END,
        ', first on ', strftime(tools.first_at, '%Y-%m-%d %H:%M'), ' UTC.'
    ) AS reason,
    json_object(
        'tools', list_sort(tools.tools), 'people', list_sort(tools.people), 'users', tools.users,
        'first_at', tools.first_at, 'last_at', tools.last_at, 'addresses', list_sort(tools.addresses)
    ) AS evidence
FROM tools
LEFT JOIN app_inventory AS app
    ON tools.app_id = app.app_id
LEFT JOIN ref_first_party_apps AS microsoft
    ON tools.app_id = microsoft.app_id
WHERE
    coalesce(app.is_first_party, microsoft.app_id IS NOT NULL) IS NOT TRUE
    AND tools.sign_ins >= $min_sign_ins
ORDER BY service_principal_id
