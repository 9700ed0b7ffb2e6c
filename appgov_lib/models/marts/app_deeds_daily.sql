-- grain: app x day x deed x log that shows it
-- source: api_calls_daily, stg_api_activity, stg_office_activity, stg_cloud_app_events, reference/office_operations.csv
-- What apps did with mail, files and chats, as far as it was served. The logs are kept apart: one that was read for a
-- week only would make the other look as if the app had done nothing before.
WITH endpoints AS (
    SELECT DISTINCT endpoint, method, access, resource_type, lower(endpoint) AS path
    FROM api_calls_daily
    WHERE endpoint IS NOT NULL AND method IS NOT NULL
),

-- A call may be two deeds: the search endpoint looks into mail and files at once.
meanings AS (
    SELECT endpoint, method, unnest([
        CASE WHEN method IN ('POST', 'PATCH', 'PUT') AND regexp_matches(path, '/messagerules(/\{id\})?$')
            THEN 'inbox rule made' END,
        CASE WHEN method = 'POST' AND resource_type = 'messages'
            AND regexp_matches(path, '/(sendmail|send|reply|replyall|forward)$') THEN 'mail sent' END,
        CASE WHEN method = 'GET' AND resource_type = 'messages' AND regexp_matches(path, '/messages(/|$)')
            THEN 'mail read' END,
        CASE WHEN method = 'POST' AND path = '/search/query' THEN 'mail searched' END,
        CASE WHEN (method = 'POST' AND path = '/search/query')
            OR (method = 'GET' AND resource_type IN ('files', 'sites') AND regexp_matches(path, '/search\('))
            THEN 'files searched' END,
        CASE WHEN method = 'GET' AND resource_type = 'files' AND ends_with(path, '/content') THEN 'files read' END,
        CASE WHEN access = 'write' AND resource_type = 'files' THEN 'files edited' END,
        CASE WHEN method = 'GET' AND resource_type = 'chats' AND regexp_matches(path, '/(messages|allmessages)(\W|$)')
            THEN 'chats read' END,
        CASE WHEN method = 'POST' AND resource_type = 'chats' AND regexp_matches(path, '/(messages|replies)$')
            THEN 'chats sent' END
    ]) AS deed
    FROM endpoints
),

deeds AS (
    SELECT c.app_id, c.day, m.deed, 'api_activity' AS log, c.calls AS events, c.first_called_at AS first_at
    FROM api_calls_daily AS c
    INNER JOIN meanings AS m ON m.endpoint = c.endpoint AND m.method = c.method
    WHERE m.deed IS NOT NULL AND api_served(c.status)
    UNION ALL
    -- what is searched for stands behind the question mark, which daily calls do not keep
    SELECT app_id, CAST(called_at AS DATE), 'mail searched', 'api_activity', 1, called_at
    FROM stg_api_activity
    WHERE resource_type = 'messages' AND contains(uri, 'earch=') AND regexp_matches(uri, '(?i)[?&](\$|%24)search=')
        AND NOT is_batch_envelope AND app_id IS NOT NULL AND api_served(status)
),

records AS (
    SELECT app_id, occurred_at, operation, 'office_activity' AS log
    FROM stg_office_activity
    WHERE result <> 'failure'
    UNION ALL
    SELECT app_id, occurred_at, action, 'cloud_app_events' FROM stg_cloud_app_events
),

operations AS (
    SELECT
        operation,
        CASE kind || ' ' || access
            WHEN 'files write' THEN 'files edited'
            ELSE kind || ' ' || access
        END AS deed
    FROM ref_office_operations
    WHERE kind || ' ' || access NOT IN ('mail write', 'chats write')
    UNION ALL
    SELECT unnest(['New-InboxRule', 'Set-InboxRule', 'Enable-InboxRule', 'UpdateInboxRules']), 'inbox rule made'
    UNION ALL
    VALUES ('SearchQueryInitiatedExchange', 'mail searched'), ('SearchQueryInitiatedSharePoint', 'files searched')
)

SELECT
    app_id,
    day,
    deed,
    log,
    CAST(sum(events) AS BIGINT) AS events,
    min(first_at) AS first_at
FROM (
    SELECT * FROM deeds
    UNION ALL
    SELECT r.app_id, CAST(r.occurred_at AS DATE), o.deed, r.log, 1, r.occurred_at
    FROM records AS r
    INNER JOIN operations AS o ON o.operation = r.operation
    WHERE r.app_id IS NOT NULL
)
WHERE day <= CAST($as_of AS DATE)
GROUP BY app_id, day, deed, log
ORDER BY app_id, day, deed, log
