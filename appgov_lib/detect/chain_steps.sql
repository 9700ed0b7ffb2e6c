-- grain: chain x step: a finding, a change, the sign-ins, the data moved, an anomaly
-- source: chain_findings, app_events, stg_sign_ins, data_transfer_daily, app_items_daily, anomalies
WITH app_chains AS (
    SELECT chain_id, service_principal_id, max(app_id) AS app_id, max(display_name) AS display_name, begins_at
    FROM chain_findings
    WHERE about = 'app'
    GROUP BY chain_id, service_principal_id, begins_at
),

steps AS (
    SELECT
        chain_id, about, service_principal_id, app_id, display_name, moment AS first_at, moment AS last_at,
        'finding' AS kind, who, finding_id, severity, policy_title AS title, reason AS words
    FROM chain_findings
    UNION ALL
    SELECT
        c.chain_id, 'app', c.service_principal_id, c.app_id, c.display_name, min(e.happened_at), max(e.happened_at),
        CASE WHEN starts_with(e.event, 'new ') THEN 'first time' ELSE 'change' END,
        some_of(list(e.actor_name) FILTER (e.actor_name IS NOT NULL)), NULL, NULL, NULL,
        concat(
            upper(e.event[1]), replace(e.event[2:], '_', ' '),
            CASE WHEN count(*) > 1 THEN concat(' ', count(*), ' times') ELSE '' END,
            coalesce(' by ' || some_of(list(e.actor_name) FILTER (e.actor_name IS NOT NULL)), ''),
            coalesce(': ' || some_of(list(e.detail) FILTER (e.detail <> '')), ''), '.'
        )
    FROM app_chains AS c
    INNER JOIN app_events AS e ON c.app_id = e.app_id
    -- what led to the first finding lies within the day before it
    WHERE e.event NOT IN ('used', 'acted') AND e.happened_at >= c.begins_at - INTERVAL 1 DAY
    GROUP BY c.chain_id, c.service_principal_id, c.app_id, c.display_name, c.begins_at, e.event
    UNION ALL
    SELECT
        c.chain_id, 'app', c.service_principal_id, c.app_id, c.display_name, min(s.created_at), max(s.created_at),
        'sign-in', NULL, NULL, NULL, NULL,
        concat(
            'Signed in ', count(*), CASE WHEN count(*) = 1 THEN ' time' ELSE ' times' END,
            coalesce(' from ' || some_of(list(s.ip_address) FILTER (s.ip_address <> '')), ''),
            coalesce(' (' || some_of(list(s.country) FILTER (s.country <> '')) || ')', ''), '.'
        )
    FROM app_chains AS c
    INNER JOIN stg_sign_ins AS s ON c.app_id = s.app_id
    WHERE s.error_code = 0 AND s.created_at >= c.begins_at AND s.created_at < CAST($as_of AS DATE) + 1
    GROUP BY c.chain_id, c.service_principal_id, c.app_id, c.display_name
    UNION ALL
    SELECT
        c.chain_id, 'app', c.service_principal_id, c.app_id, c.display_name, min(d.day), max(d.day),
        'data', NULL, NULL, NULL, NULL,
        concat(
            CASE d.access WHEN 'write' THEN 'Wrote to ' ELSE 'Read from ' END, d.service,
            ' (', d.resource_type, ') in ', sum(d.calls), ' calls',
            coalesce(', ' || formatReadableDecimalSize(CAST(sum(d.bytes_returned) AS BIGINT)) || ' received', ''), '.'
        )
    FROM app_chains AS c
    INNER JOIN data_transfer_daily AS d ON c.app_id = d.app_id AND d.day >= CAST(c.begins_at AS DATE)
    WHERE d.day <= CAST($as_of AS DATE) AND d.access IS NOT NULL
    GROUP BY c.chain_id, c.service_principal_id, c.app_id, c.display_name, d.service, d.resource_type, d.access
    UNION ALL
    SELECT
        c.chain_id, 'app', c.service_principal_id, c.app_id, c.display_name, min(i.day), max(i.day),
        'data', NULL, NULL, NULL, NULL,
        concat(
            CASE i.access WHEN 'read' THEN 'Read ' WHEN 'sent' THEN 'Sent ' ELSE 'Changed ' END, i.kind, ': ',
            coalesce(sum(i.items) || ' items', 'how many items is not told'),
            ' in ', sum(i.events), ' records of the log.'
        )
    FROM app_chains AS c
    INNER JOIN app_items_daily AS i ON c.app_id = i.app_id AND i.day >= CAST(c.begins_at AS DATE)
    WHERE i.day <= CAST($as_of AS DATE)
    GROUP BY c.chain_id, c.service_principal_id, c.app_id, c.display_name, i.kind, i.access
    UNION ALL
    SELECT
        c.chain_id, 'app', c.service_principal_id, c.app_id, c.display_name, min(a.day), max(a.day),
        'anomaly', NULL, NULL, NULL, NULL,
        concat(
            'Unlike before on ', count(*), CASE WHEN count(*) = 1 THEN ' day' ELSE ' days' END,
            ' (', replace(a.metric, '_', ' '), '): ', arg_min(a.reason, a.day)
        )
    FROM app_chains AS c
    INNER JOIN anomalies AS a ON c.app_id = a.app_id AND a.is_anomaly AND a.day >= CAST(c.begins_at AS DATE)
    GROUP BY c.chain_id, c.service_principal_id, c.app_id, c.display_name, a.metric
)

SELECT
    chain_id,
    about,
    row_number() OVER (
        PARTITION BY chain_id
        -- of data and anomalies only the day is known: they follow what has a time
        ORDER BY CAST(first_at AS DATE) NULLS LAST, kind IN ('data', 'anomaly'), first_at, kind, title, words
    ) AS place,
    * EXCLUDE (chain_id, about)
FROM steps
ORDER BY chain_id, place
