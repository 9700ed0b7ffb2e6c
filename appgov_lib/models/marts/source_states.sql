-- grain: source
-- source: coverage
-- An imported log, or the sums of a log, stand in for the source of the same kind.
WITH named AS (
    SELECT source, source AS row_name, status, reason FROM coverage
    UNION ALL
    SELECT regexp_extract(source, '^(api_activity|directory_audits|security_alerts)_', 1), source, status, reason
    FROM coverage
    WHERE regexp_matches(source, '^(api_activity|directory_audits|security_alerts)_')
)

SELECT
    source,
    arg_min(status, (choice, row_name)) AS status,
    arg_min(nullif(rtrim(reason, '.'), ''), (choice, row_name)) AS reason
FROM (
    SELECT
        *,
        CASE
            WHEN status = 'complete' THEN 0
            WHEN status = 'partial' THEN 1
            WHEN source = row_name THEN 2
            ELSE 3
        END AS choice
    FROM named
)
GROUP BY source
ORDER BY source
