-- grain: app x kind of item x access
-- source: app_items_daily, findings; apps with an open finding, the period of $days days to $as_of
SELECT
    app_id,
    kind,
    access,
    CAST(sum(events) AS BIGINT) AS events,
    CAST(sum(items) AS BIGINT) AS items,
    CAST(sum(items_unknown_events) AS BIGINT) AS items_unknown_events,
    CAST(sum(bytes) AS BIGINT) AS bytes
FROM app_items_daily
SEMI JOIN (FROM findings WHERE state NOT IN ('resolved', 'excepted')) USING (app_id)
WHERE day > CAST($as_of AS DATE) - CAST($days AS INTEGER) AND day <= CAST($as_of AS DATE)
GROUP BY ALL
ORDER BY app_id, kind, access
