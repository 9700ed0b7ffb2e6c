-- grain: API request
-- source: every api_activity_from_* shape; one row per id, the richest record of each
WITH records AS (
    SELECT 1 AS preference, * FROM api_activity_from_diagnostic
    UNION ALL BY NAME
    SELECT 2 AS preference, * FROM api_activity_from_log_analytics
    UNION ALL BY NAME
    SELECT 3 AS preference, * FROM api_activity_from_hunting
),

ranked AS (
    SELECT
        *,
        count(*) OVER (PARTITION BY request_id) AS copies,
        row_number() OVER (
            PARTITION BY request_id
            ORDER BY preference, bytes_returned IS NULL, called_at, app_id, uri, status, bytes_returned
        ) AS choice
    FROM records
)

SELECT
    * EXCLUDE (preference, choice),
    api_path(uri) AS path
FROM ranked
WHERE choice = 1
