-- grain: alert
-- source: every security_alerts_from_* shape; one row per id
WITH records AS (
    SELECT 1 AS preference, * FROM security_alerts_from_graph
    UNION ALL BY NAME
    SELECT 2 AS preference, * FROM security_alerts_from_log_analytics
),

ranked AS (
    SELECT
        *,
        count(*) OVER (PARTITION BY alert_id) AS copies,
        row_number() OVER (
            PARTITION BY alert_id
            -- an alert changes: the newest version counts; where no time tells, resolved stays resolved
            ORDER BY preference, last_updated_at DESC NULLS LAST, status IS DISTINCT FROM 'resolved', app_id IS NULL,
                created_at, status, severity, classification, determination, title
        ) AS choice
    FROM records
)

SELECT * EXCLUDE (preference, choice)
FROM ranked
WHERE choice = 1
ORDER BY created_at, alert_id
