-- grain: audit event
-- source: every directory_audits_from_* shape; one row per id, the richest shape wins
WITH records AS (
    SELECT 1 AS preference, * FROM directory_audits_from_graph
    UNION ALL BY NAME
    SELECT 2 AS preference, * FROM directory_audits_from_diagnostic
    UNION ALL BY NAME
    SELECT 3 AS preference, * FROM directory_audits_from_log_analytics
    UNION ALL BY NAME
    SELECT 4 AS preference, * FROM directory_audits_from_unified_audit
),

ranked AS (
    SELECT
        *,
        count(*) OVER (PARTITION BY audit_id) AS copies,
        row_number() OVER (
            PARTITION BY audit_id
            ORDER BY preference, len(target_ids) DESC, activity_at, activity, actor_id, CAST(targets AS VARCHAR)
        ) AS choice
    FROM records
)

SELECT * EXCLUDE (preference, choice)
FROM ranked
WHERE choice = 1
ORDER BY activity_at, audit_id
