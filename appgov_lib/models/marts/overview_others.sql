-- grain: measure of incidents, credentials or scores
-- source: incident_alerts, app_credentials, credential_history, category_marks, secure_score_items, source_readings,
--         coverage
WITH bounds AS (
    SELECT
        CAST($as_of AS DATE) + 1 AS day_after,
        CAST($as_of AS DATE) - CAST($days AS INTEGER) + 1 AS first_day
),

apps AS (
    SELECT DISTINCT app_id FROM category_marks WHERE category = 'all' AND app_id IS NOT NULL
),

incidents AS (
    SELECT
        unnest(['incidents', 'incidents_detection', 'incidents_policy']) AS measure,
        unnest([true, source LIKE '%detection%', source LIKE '%policy%']) AS counts,
        is_active AND i.created_at < b.day_after AS now,
        -- closed since, as far as the last change tells
        i.created_at < b.first_day AND (is_active OR last_updated_at >= b.first_day) AS before
    FROM incident_alerts AS i
    CROSS JOIN bounds AS b
    WHERE about_apps
),

incident_counts AS (
    SELECT
        m.measure,
        count(*) FILTER (i.counts AND i.now) AS value,
        0 AS not_known,
        count(*) FILTER (i.counts AND i.before) AS previous_value,
        NULL AS previous_reason,
        'Incidents created since ' || (SELECT strftime(min(from_at), '%Y-%m-%d') FROM coverage WHERE source = 'incidents')
            || '; one closed in the period counts as open before.' AS note
    FROM (VALUES ('incidents'), ('incidents_detection'), ('incidents_policy')) AS m (measure)
    LEFT JOIN incidents AS i ON i.measure = m.measure
    GROUP BY m.measure
),

report AS (
    SELECT coalesce(bool_or(status = 'complete'), false) AS is_complete
    FROM coverage
    WHERE source = 'credential_sign_in_activities'
),

credentials AS (
    SELECT
        c.ends_at,
        c.days_to_expiry,
        CASE
            WHEN c.ends_at < b.day_after OR c.starts_at >= b.day_after - 30 THEN false
            WHEN c.last_used_at >= b.day_after - 30 THEN false
            -- silence is the absence of a row, so it needs the whole report
            WHEN r.is_complete AND c.last_used_known THEN true
        END AS is_unused
    FROM app_credentials AS c
    CROSS JOIN bounds AS b
    CROSS JOIN report AS r
    SEMI JOIN apps AS a ON a.app_id = c.app_id
    WHERE c.credential_type IN ('secret', 'certificate')
),

-- the newest complete readings that are not part of the period
earlier AS (
    SELECT CASE WHEN count(read_at) = 2 THEN min(read_at) END AS read_at
    FROM (
        SELECT s.source, max(r.read_at) AS read_at
        FROM (VALUES ('applications'), ('service_principals')) AS s (source)
        CROSS JOIN bounds AS b
        LEFT JOIN source_readings AS r ON r.source = s.source AND CAST(r.read_at AS DATE) <= b.first_day
        GROUP BY s.source
    )
),

expiring_before AS (
    SELECT e.read_at, count(h.key_id) AS credentials
    FROM earlier AS e
    CROSS JOIN bounds AS b
    LEFT JOIN (SELECT * FROM credential_history SEMI JOIN apps USING (app_id)) AS h
        ON h.credential_type IN ('secret', 'certificate')
        AND CAST(h.ends_at AS DATE) BETWEEN b.first_day - 1 AND b.first_day + 29
        AND coalesce(h.valid_from <= e.read_at, true)
        AND coalesce(h.valid_to > e.read_at, true)
    GROUP BY e.read_at
),

measures AS (
    SELECT * FROM incident_counts
    UNION ALL
    SELECT 'unused_credentials', count(*) FILTER (is_unused), count(*) FILTER (is_unused IS NULL), NULL,
        'The number before is not kept.',
        CASE WHEN count(*) FILTER (is_unused IS NULL) > 0
            THEN concat('Not known for ', count(*) FILTER (is_unused IS NULL), ' of ', count(*), ' credentials.') END
    FROM credentials
    UNION ALL
    SELECT 'expiring_credentials', count(*) FILTER (days_to_expiry BETWEEN 0 AND 30), 0,
        (SELECT CASE WHEN read_at IS NOT NULL THEN credentials END FROM expiring_before),
        CASE WHEN (SELECT read_at FROM earlier) IS NULL THEN 'No complete reading of credentials before '
            || (SELECT first_day FROM bounds) || ' to compare with.' END,
        NULL
    FROM credentials
    UNION ALL
    SELECT 'secure_score', sum(score), count(*) FILTER (score IS NULL), NULL, 'Only the newest score is read.',
        'Of ' || CAST(sum(max_score) AS INTEGER) || ' points in ' || count(*) || ' controls.'
    FROM secure_score_items
)

SELECT
    measure,
    CAST(value AS DOUBLE) AS value,
    CAST(not_known AS DOUBLE) AS not_known,
    CAST(previous_value AS DOUBLE) AS previous_value,
    previous_reason,
    b.first_day AS period_from,
    b.day_after - 1 AS period_to,
    note
FROM measures
CROSS JOIN bounds AS b
ORDER BY measure
