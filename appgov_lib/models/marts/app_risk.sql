-- grain: service principal
-- source: app_identity, app_risk_parts, reference/risk_weights.csv, reference/risk_levels.csv
-- The score is the plain sum of the parts: 60 for impact and 40 for likelihood at most.
WITH caps AS (
    SELECT
        CAST(max(cap) FILTER (part_id = 'impact_over_cap') AS INTEGER) AS impact,
        CAST(max(cap) FILTER (part_id = 'likelihood_over_cap') AS INTEGER) AS likelihood,
        max(version) AS version
    FROM (SELECT part_id, CAST(cap AS INTEGER) AS cap, version FROM ref_risk_weights)
),

sums AS (
    SELECT
        service_principal_id,
        coalesce(sum(points) FILTER (dimension = 'impact'), 0) AS impact,
        coalesce(sum(points) FILTER (dimension = 'likelihood'), 0) AS likelihood,
        coalesce(sum(max_points) FILTER (dimension = 'impact' AND NOT known), 0) AS impact_unknown,
        coalesce(sum(max_points) FILTER (dimension = 'likelihood' AND NOT known), 0) AS likelihood_unknown,
        -- sorted as structs, whose first fields decide: an aggregate with ORDER BY takes twice as long
        list_sort(list({'dimension': dimension, 'loss': -points, 'part': part_id, 'why': why, 'known': known})) AS parts
    FROM app_risk_parts
    GROUP BY service_principal_id
),

scored AS (
    SELECT
        i.service_principal_id,
        i.app_origin <> 'microsoft' AND i.service_principal_type IS DISTINCT FROM 'ManagedIdentity' AS is_ranked,
        coalesce(s.impact, 0) AS impact,
        coalesce(s.likelihood, 0) AS likelihood,
        -- how much higher the score could be: never beyond the cap of the dimension
        coalesce(least(s.impact_unknown, c.impact - s.impact), 0)
            + coalesce(least(s.likelihood_unknown, c.likelihood - s.likelihood), 0) AS unknown_points,
        coalesce(to_json(list_transform(s.parts, lambda p: {'part': p.part, 'points': -p.loss, 'why': p.why,
            'dimension': p.dimension, 'known': p.known})), CAST('[]' AS JSON)) AS risk_parts,
        c.version
    FROM app_identity AS i
    CROSS JOIN caps AS c
    LEFT JOIN sums AS s ON s.service_principal_id = i.service_principal_id
)

SELECT
    s.service_principal_id,
    CAST(s.impact + s.likelihood AS INTEGER) AS risk_score,
    CAST(s.impact AS INTEGER) AS risk_impact,
    CASE WHEN s.is_ranked THEN CAST(s.likelihood AS INTEGER) END AS risk_likelihood,
    CAST(s.unknown_points AS INTEGER) AS risk_unknown_points,
    s.is_ranked,
    CASE
        WHEN NOT s.is_ranked THEN 'info'
        ELSE (
            SELECT arg_max(level, CAST(least_score AS INTEGER))
            FROM ref_risk_levels
            WHERE CAST(least_score AS INTEGER) <= s.impact + s.likelihood
        )
    END AS risk_level,
    s.risk_parts,
    s.version AS weights_version
FROM scored AS s
ORDER BY s.service_principal_id
