-- grain: category of apps
-- source: category_marks, app_inventory, stg_deleted_service_principals, earlier_highs, coverage
-- The period is $days days and ends with $as_of; before is how it stood when the period began.
WITH bounds AS (
    SELECT CAST($as_of AS DATE) + 1 AS day_after, CAST($as_of AS DATE) - CAST($days AS INTEGER) + 1 AS first_day
),

now_counts AS (
    SELECT category, count(*) FILTER (is_in) AS apps, count(*) FILTER (is_in IS NULL) AS not_known
    FROM category_marks
    GROUP BY category
),

-- Apps there were: those of today that are older than the period, and those deleted since. Graph keeps a deleted
-- app for 30 days.
births AS (
    SELECT i.created_at
    FROM app_inventory AS i
    SEMI JOIN (FROM category_marks WHERE category = 'all') AS m ON m.service_principal_id = i.service_principal_id
    UNION ALL
    SELECT d.created_at
    FROM stg_deleted_service_principals AS d
    CROSS JOIN bounds AS b
    ANTI JOIN ref_first_party_tenants AS m ON m.tenant_id = d.app_owner_tenant_id
    WHERE d.service_principal_type IS DISTINCT FROM 'ManagedIdentity' AND d.deleted_at >= b.first_day
),

counted AS (
    SELECT
        count(*) FILTER (a.created_at < b.first_day) AS apps,
        count(*) FILTER (a.created_at < b.first_day AND a.created_at >= b.first_day - 7) AS new_7d,
        count(*) FILTER (a.created_at < b.first_day AND a.created_at >= b.first_day - 30) AS new_30d,
        count(*) FILTER (a.created_at IS NULL) AS undated
    FROM births AS a
    CROSS JOIN bounds AS b
),

deletions AS (
    SELECT coalesce(bool_or(status = 'complete'), false) AND CAST($days AS INTEGER) <= 30 AS is_known
    FROM coverage
    WHERE source = 'deleted_service_principals'
)

SELECT
    n.category AS measure,
    CAST(n.apps AS DOUBLE) AS value,
    CAST(n.not_known AS DOUBLE) AS not_known,
    CAST(CASE
        WHEN n.category = 'highly_privileged' THEN h.apps
        WHEN n.category IN ('all', 'new_7d', 'new_30d') AND d.is_known
            -- an app without a date was there as far as anybody knows
            THEN CASE n.category WHEN 'all' THEN c.apps + c.undated WHEN 'new_7d' THEN c.new_7d ELSE c.new_30d END
    END AS DOUBLE) AS previous_value,
    CASE
        WHEN n.category = 'highly_privileged' AND h.read_at IS NULL
            THEN 'No complete reading of grants and roles before ' || b.first_day || ' to compare with.'
        WHEN n.category = 'highly_privileged' AND h.apps IS NULL
            THEN 'Permissions that nobody holds any more cannot be judged, so the number before is not known.'
        WHEN n.category IN ('all', 'new_7d', 'new_30d') AND NOT d.is_known
            THEN 'What was deleted since ' || b.first_day || ' is not known, so the number before is not.'
        WHEN n.category NOT IN ('all', 'new_7d', 'new_30d', 'highly_privileged')
            THEN 'The number before is not kept.'
    END AS previous_reason,
    b.first_day AS period_from,
    b.day_after - 1 AS period_to,
    CASE WHEN n.not_known > 0 THEN concat('Not known for ', n.not_known, ' of ',
        (SELECT count(*) FROM category_marks WHERE category = 'all'), ' apps.') END AS note
FROM now_counts AS n
CROSS JOIN bounds AS b
CROSS JOIN counted AS c
CROSS JOIN deletions AS d
CROSS JOIN earlier_highs AS h
ORDER BY measure
