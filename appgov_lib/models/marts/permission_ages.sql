-- grain: delegated permission held (service principal x resource x permission), and whether it may be new
-- source: consent_grants, grants_seen_history, source_readings, stg_directory_audits
-- Graph keeps no date for delegated permissions. A reading before the window that shows it proves it old; one in the
-- window that shows it first, after a reading without it, proves it new; a consent in the window leaves it open.
WITH scopes AS (
    SELECT service_principal_id, resource_id, permission, min(reading) AS reading
    FROM (
        SELECT
            service_principal_id,
            resource_id,
            unnest(string_split_regex(trim(coalesce(scope, '')), '\s+')) AS permission,
            readings[1] AS reading
        FROM grants_seen_history
        WHERE source = 'delegated_grants'
    )
    GROUP BY ALL
),

seen AS (
    SELECT
        s.service_principal_id,
        s.resource_id,
        s.permission,
        min_by(r.read_at, r.reading) AS first_seen_at,
        min_by(r.previous_read_at IS NOT NULL, r.reading) AS appeared
    FROM scopes AS s
    INNER JOIN source_readings AS r ON r.source = 'delegated_grants' AND r.reading = s.reading
    GROUP BY ALL
),

consents AS (
    SELECT DISTINCT unnest(target_ids) AS service_principal_id
    FROM stg_directory_audits
    WHERE activity IN ('Consent to application', 'Add delegated permission grant')
        AND coalesce(result, 'success') = 'success'
        AND activity_at >= CAST($as_of AS DATE) - 29
)

SELECT
    g.service_principal_id,
    g.resource_id,
    g.permission,
    s.first_seen_at,
    CASE
        WHEN s.first_seen_at < CAST($as_of AS DATE) - 29 THEN 'old'
        WHEN s.appeared THEN 'new'
        WHEN c.service_principal_id IS NOT NULL THEN 'open'
    END AS age
FROM consent_grants AS g
LEFT JOIN seen AS s
    ON s.service_principal_id = g.service_principal_id
    AND s.resource_id = g.resource_id
    AND s.permission = g.permission
LEFT JOIN consents AS c ON c.service_principal_id = g.service_principal_id
WHERE g.permission_type = 'delegated'
