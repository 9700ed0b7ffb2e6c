-- grain: fact of the dashboard
-- source: reference/dashboard_facts.csv, overview_categories, overview_usage, overview_others, source_states
-- Microsoft's own apps and managed identities are left out of every count.
WITH measures AS (
    SELECT * FROM overview_categories
    UNION ALL BY NAME
    SELECT * FROM overview_usage
    UNION ALL BY NAME
    SELECT * FROM overview_others
),

needed AS (
    SELECT fact_id, unnest(string_split(sources, ';')) AS source
    FROM ref_dashboard_facts
),

readable AS (
    SELECT
        n.fact_id,
        bool_and(coalesce(s.status IN ('complete', 'partial'), false)) AS is_readable,
        bool_and(coalesce(s.status = 'complete', false)) AS is_whole,
        string_agg(concat(replace(n.source, '_', ' '), ': ', replace(coalesce(s.status, 'not_collected'), '_', ' '),
            coalesce(' (' || s.reason || ')', '')), '; ' ORDER BY n.source)
            FILTER (s.status IS DISTINCT FROM 'complete') AS gaps
    FROM needed AS n
    LEFT JOIN source_states AS s ON s.source = n.source
    GROUP BY n.fact_id
),

judged AS (
    SELECT
        f.*,
        CASE WHEN r.is_readable THEN m.value END AS value,
        CASE WHEN r.is_readable THEN m.previous_value END AS previous_value,
        m.period_from,
        m.period_to,
        m.previous_reason,
        m.note,
        m.not_known,
        r.is_whole,
        r.gaps
    FROM ref_dashboard_facts AS f
    LEFT JOIN readable AS r ON r.fact_id = f.fact_id
    LEFT JOIN measures AS m ON m.measure = f.measure
)

SELECT
    fact_id,
    fact,
    value,
    previous_value,
    value - previous_value AS change,
    unit,
    period_from,
    period_to,
    CASE
        WHEN value IS NULL THEN 'unknown'
        WHEN is_whole AND coalesce(not_known, 0) = 0 THEN 'complete'
        ELSE 'partial'
    END AS coverage,
    concat_ws(' ',
        CASE WHEN gaps IS NOT NULL THEN 'Not read whole: ' || gaps || '.' END,
        nullif(note, ''),
        CASE WHEN value IS NOT NULL AND previous_value IS NULL THEN previous_reason END
    ) AS reason
FROM judged
ORDER BY CAST(position AS INTEGER)
