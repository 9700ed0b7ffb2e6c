-- grain: app among those to which one person signed in with many programs within minutes
-- source: stg_sign_ins, app_inventory
WITH bursts AS (
    SELECT
        user_id,
        ip_address,
        time_bucket($minutes * INTERVAL 1 MINUTE, created_at) AS moment,
        count(*) AS sign_ins,
        count(*) FILTER (error_code <> 0) AS failures,
        count(DISTINCT app_id) AS apps,
        count(DISTINCT user_agent) AS agents,
        max(user_principal_name) AS person,
        list(DISTINCT app_id) AS app_ids,
        list_sort(list(DISTINCT coalesce(app_name, app_id))) AS names
    FROM stg_sign_ins
    WHERE
        user_id IS NOT NULL AND app_id IS NOT NULL AND ip_address IS NOT NULL AND user_agent IS NOT NULL
        AND sign_in_type = 'interactive'
        AND created_at >= CAST($as_of AS DATE) + 1 - $days AND created_at < CAST($as_of AS DATE) + 1
    GROUP BY ALL
    HAVING
        count(*) >= $min_sign_ins AND count(DISTINCT app_id) >= $min_apps AND count(DISTINCT user_agent) >= $min_agents
),

reached AS (
    SELECT *, unnest(app_ids) AS app_id FROM bursts
)

SELECT
    app.service_principal_id,
    app.app_id,
    app.display_name AS app_display_name,
    '' AS subject,
    CAST(max(reached.agents) AS DOUBLE) AS measure,
    CAST($min_agents AS DOUBLE) AS threshold,
    concat(
        coalesce(arg_max(reached.person, (reached.agents, reached.moment)), 'A person'), ' signed in to ',
        arg_max(reached.apps, (reached.agents, reached.moment)), ' apps, this one among them, with ',
        max(reached.agents), ' programs from one address within ', $minutes, ' minutes from ',
        strftime(arg_max(reached.moment, (reached.agents, reached.moment)), '%Y-%m-%d %H:%M'), ' UTC; ',
        arg_max(reached.failures, (reached.agents, reached.moment)), ' of ',
        arg_max(reached.sign_ins, (reached.agents, reached.moment)), ' sign-ins failed.'
    ) AS reason,
    json_object(
        'bursts', list({'user': coalesce(reached.person, reached.user_id), 'moment': reached.moment,
            'address': reached.ip_address, 'apps': reached.names[1:10], 'programs': reached.agents,
            'sign_ins': reached.sign_ins, 'failures': reached.failures}
            ORDER BY reached.moment, reached.user_id, reached.ip_address)[1:10]
    ) AS evidence
FROM reached
INNER JOIN app_inventory AS app ON reached.app_id = app.app_id
WHERE app.is_in_scope
GROUP BY app.service_principal_id, app.app_id, app.display_name
ORDER BY app.service_principal_id
