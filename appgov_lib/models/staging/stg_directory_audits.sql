-- grain: audit event
-- source: every directory_audits_from_* shape; one row per event, the richest shape wins
WITH records AS (
    SELECT 1 AS preference, * FROM directory_audits_from_graph
    UNION ALL BY NAME
    SELECT 2 AS preference, * FROM directory_audits_from_diagnostic
    UNION ALL BY NAME
    SELECT 3 AS preference, * FROM directory_audits_from_log_analytics
    UNION ALL BY NAME
    SELECT 4 AS preference, * FROM directory_audits_from_unified_audit
),

events AS (
    SELECT
        records.*,
        -- the two logs number their events apart
        coalesce(pairs.audit_id, records.audit_id) AS event_id
    FROM records
    LEFT JOIN directory_audit_pairs AS pairs
        ON records.preference = 4 AND records.audit_id = pairs.unified_audit_id
),

ranked AS (
    SELECT
        *,
        CAST(sum(coalesce(received, 1)) OVER (PARTITION BY event_id) AS BIGINT) AS copies,
        row_number() OVER (
            PARTITION BY event_id
            ORDER BY preference, len(target_ids) DESC, activity_at, activity, actor_id, CAST(targets AS VARCHAR), shape
        ) AS choice
    FROM events
)

SELECT * EXCLUDE (preference, event_id, received, choice)
FROM ranked
WHERE choice = 1
ORDER BY activity_at, audit_id
