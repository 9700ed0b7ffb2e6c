-- grain: activity record of an Office workload
-- source: every office_activity_from_* shape; one row per id
WITH records AS (
    SELECT 1 AS preference, * FROM office_activity_from_log_analytics
    UNION ALL BY NAME
    SELECT 2 AS preference, * FROM office_activity_from_unified_audit
    UNION ALL BY NAME
    SELECT 3 AS preference, * FROM office_activity_from_audit_query
),

ranked AS (
    SELECT
        *,
        CAST(sum(coalesce(received, 1)) OVER (PARTITION BY record_id) AS BIGINT) AS copies,
        row_number() OVER (
            PARTITION BY record_id
            ORDER BY preference, app_id IS NULL, occurred_at, operation, user_id, object_id
        ) AS choice
    FROM records
)

SELECT * EXCLUDE (preference, received, choice)
FROM ranked
WHERE choice = 1
ORDER BY occurred_at, record_id
