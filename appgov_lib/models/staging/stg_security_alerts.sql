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
            -- a later reading may know more: a status once resolved stays resolved
            ORDER BY preference, status IS DISTINCT FROM 'resolved', app_id IS NULL, created_at, status, severity
        ) AS choice
    FROM records
)

SELECT * EXCLUDE (preference, choice)
FROM ranked
WHERE choice = 1
ORDER BY created_at, alert_id
