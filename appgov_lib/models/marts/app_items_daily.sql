-- grain: app x day x kind of item x read or write
-- source: stg_office_activity, stg_cloud_app_events, reference/office_operations.csv
-- Both logs tell of the same events: a day is taken from the one that holds more of them, from the audit log when both
-- hold as many.
WITH audited AS (
    SELECT
        o.app_id,
        CAST(o.occurred_at AS DATE) AS day,
        r.kind,
        r.access,
        count(*) AS events,
        CAST(sum(o.items) AS BIGINT) AS items,
        count(*) FILTER (o.items IS NULL) AS items_unknown_events,
        CAST(sum(o.bytes) AS BIGINT) AS bytes,
        count(*) FILTER (o.bytes IS NULL) AS bytes_unknown_events,
        count(DISTINCT o.user_id) AS users,
        'office_activity' AS read_from
    FROM stg_office_activity AS o
    INNER JOIN ref_office_operations AS r ON r.operation = o.operation
    WHERE o.app_id IS NOT NULL AND o.result <> 'failure' AND o.occurred_at < CAST($as_of AS DATE) + 1
    GROUP BY ALL
),

seen_by_defender AS (
    SELECT
        e.app_id,
        CAST(e.occurred_at AS DATE) AS day,
        r.kind,
        r.access,
        count(*) AS events,
        -- one event of a mailbox may tell of many messages, and does not say of how many
        CAST(count(*) FILTER (e.action <> 'MailItemsAccessed') AS BIGINT) AS items,
        count(*) FILTER (e.action = 'MailItemsAccessed') AS items_unknown_events,
        CAST(NULL AS BIGINT) AS bytes,
        count(*) AS bytes_unknown_events,
        count(DISTINCT e.user_id) AS users,
        'cloud_app_events' AS read_from
    FROM stg_cloud_app_events AS e
    INNER JOIN ref_office_operations AS r ON r.operation = e.action
    WHERE e.app_id IS NOT NULL AND e.occurred_at < CAST($as_of AS DATE) + 1
    GROUP BY ALL
),

both_logs AS (
    SELECT * FROM audited
    UNION ALL
    SELECT * FROM seen_by_defender
),

choice AS (
    SELECT day, arg_max(read_from, (events, read_from = 'office_activity')) AS read_from
    FROM (SELECT day, read_from, sum(events) AS events FROM both_logs GROUP BY ALL)
    GROUP BY day
)

SELECT
    b.app_id,
    b.day,
    b.kind,
    b.access,
    b.events,
    -- NULL when no event says how many items, or how large
    CASE WHEN b.items_unknown_events < b.events THEN b.items END AS items,
    b.items_unknown_events,
    b.bytes,
    b.bytes_unknown_events,
    b.users,
    b.read_from
FROM both_logs AS b
SEMI JOIN choice AS c ON c.day = b.day AND c.read_from = b.read_from
ORDER BY b.app_id, b.day, b.kind, b.access
