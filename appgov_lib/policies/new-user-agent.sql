-- grain: app x program that called for it for the first time
-- source: app_first_seen, app_permissions, stg_office_activity, app_inventory, reference/tool_user_agents.csv
WITH shown AS (
    SELECT app_id, value AS agent, 'Microsoft Graph' AS api, first_seen_at, values_before, events_now AS events
    FROM app_first_seen
    WHERE family = 'api_activity' AND dimension = 'user_agent' AND novelty = 'new'
),

-- Exchange Web Services are in no log of Graph: the audit log of mailboxes names the program that read.
web_services AS (
    SELECT
        app_id,
        regexp_extract(user_agent, '(?i)^Client=WebServices;\s*([^/;\s\[]{1,60})', 1) AS agent,
        min(occurred_at) AS first_seen_at,
        count(*) FILTER (occurred_at >= CAST($as_of AS DATE) + 1 - $days) AS events
    FROM stg_office_activity
    WHERE operation = 'MailItemsAccessed' AND app_id IS NOT NULL AND occurred_at < CAST($as_of AS DATE) + 1
        AND regexp_matches(user_agent, '(?i)^Client=WebServices;')
    GROUP BY ALL
),

mailboxes AS (
    SELECT
        app_id,
        min(first_seen_at) AS app_since,
        count(*) FILTER (first_seen_at < CAST($as_of AS DATE) + 1 - $days) AS values_before
    FROM web_services
    GROUP BY app_id
),

agents AS (
    SELECT app_id, agent, api, first_seen_at, values_before, events FROM shown
    UNION ALL
    SELECT w.app_id, w.agent, 'Exchange Web Services', w.first_seen_at, m.values_before, w.events
    FROM web_services AS w
    INNER JOIN mailboxes AS m ON w.app_id = m.app_id
    WHERE
        w.agent <> ''
        AND w.first_seen_at >= CAST($as_of AS DATE) + 1 - $days
        AND m.app_since < CAST($as_of AS DATE) + 1 - $days - CAST($min_history_days AS INTEGER)
),

tools AS (
    SELECT DISTINCT agents.agent, min(tool.tool) AS tool
    FROM agents
    INNER JOIN ref_tool_user_agents AS tool ON starts_with(lower(agents.agent) || '/', tool.prefix)
    GROUP BY agents.agent
),

-- Without a user, over all mailboxes, files or chats.
powers AS (
    SELECT app_id, list_sort(list(DISTINCT permission)) AS permissions
    FROM app_permissions
    WHERE
        permission_type = 'application' AND privilege_level = 'high'
        AND regexp_matches(permission, '(?i)^(Mail|MailboxSettings|Files|Sites|Chat|ChannelMessage|full_access)[._]')
    GROUP BY app_id
)

SELECT
    app.service_principal_id,
    app.app_id,
    app.display_name AS app_display_name,
    agents.agent AS subject,
    CAST(agents.events AS DOUBLE) AS measure,
    CAST($max_agents_before AS DOUBLE) AS threshold,
    concat(
        'From ', strftime(agents.first_seen_at, '%Y-%m-%d %H:%M'), ' UTC ',
        CASE WHEN tools.tool IS NULL THEN 'the program ' || agents.agent ELSE tools.tool || ', a tool,' END,
        ' called ', agents.api, ' for the app ', agents.events,
        CASE WHEN agents.events = 1 THEN ' time' ELSE ' times' END,
        '; before, ',
        CASE WHEN agents.values_before = 1 THEN 'one other program' ELSE agents.values_before || ' others' END,
        ' had.', CASE WHEN len(powers.permissions) > 0
            THEN ' It holds ' || array_to_string(powers.permissions[1:3], ', ') || '.' ELSE '' END
    ) AS reason,
    json_object(
        'agent', agents.agent, 'tool', tools.tool, 'api', agents.api, 'first_seen_at', agents.first_seen_at,
        'programs_before', agents.values_before, 'permissions', powers.permissions, 'app_origin', app.app_origin
    ) AS evidence
FROM agents
INNER JOIN app_inventory AS app ON agents.app_id = app.app_id
LEFT JOIN tools ON agents.agent = tools.agent
LEFT JOIN powers ON agents.app_id = powers.app_id
WHERE
    app.is_in_scope
    -- an app that never named its program shows nothing new by naming it
    AND agents.values_before BETWEEN 1 AND $max_agents_before
    AND (tools.tool IS NOT NULL OR powers.permissions IS NOT NULL OR agents.api = 'Exchange Web Services')
ORDER BY app.service_principal_id, agents.agent, agents.api
