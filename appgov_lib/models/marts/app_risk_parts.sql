-- grain: app x part of its risk score that counts or could not be judged
-- source: risk_units_*, app_identity, coverage, reference/risk_weights.csv
-- points = how often the part counts x points, up to its cap; all of it can be changed in the CSV. Parts that do not
-- apply have no row; what could not be judged has one with known = false, so that nobody takes silence for "fine".
WITH weights AS (
    SELECT
        part_id,
        dimension,
        CAST(points AS INTEGER) AS points,
        CAST(cap AS INTEGER) AS cap,
        applies_to,
        string_split(sources, ' ') AS sources
    FROM ref_risk_weights
),

apps AS (
    SELECT
        service_principal_id,
        app_origin,
        -- how likely abuse is cannot be told by these rules for Microsoft's own apps and for managed identities
        app_origin <> 'microsoft' AND service_principal_type IS DISTINCT FROM 'ManagedIdentity' AS is_ranked
    FROM app_identity
),

units AS (
    FROM risk_units_access
    UNION ALL BY NAME FROM risk_units_trust
    UNION ALL BY NAME FROM risk_units_credentials
    UNION ALL BY NAME FROM risk_units_microsoft
),

-- A part of which a source was not read in full, and why.
gaps AS (
    SELECT n.part_id, string_agg(n.source || ' ' || coalesce(c.status, 'not_collected'), ', ' ORDER BY n.source) AS gap
    FROM (SELECT part_id, unnest(sources) AS source FROM weights) AS n
    LEFT JOIN coverage AS c ON c.source = n.source
    WHERE n.source <> '' AND c.status IS DISTINCT FROM 'complete'
    GROUP BY n.part_id
),

judged AS (
    SELECT
        a.service_principal_id,
        w.part_id,
        w.dimension,
        CAST(least(u.units * w.points, w.cap) AS INTEGER) AS points,
        w.cap AS max_points,
        u.why,
        u.units > 0 AS known
    FROM units AS u
    INNER JOIN weights AS w ON w.part_id = u.part_id
    INNER JOIN apps AS a ON a.service_principal_id = u.service_principal_id
    WHERE (a.is_ranked OR w.dimension = 'impact') AND w.applies_to IN ('all', a.app_origin)
),

unjudged AS (
    SELECT
        a.service_principal_id,
        w.part_id,
        w.dimension,
        0 AS points,
        w.cap AS max_points,
        'Could not be judged, not read in full: ' || g.gap || '.' AS why,
        false AS known
    FROM gaps AS g
    INNER JOIN weights AS w ON w.part_id = g.part_id
    INNER JOIN apps AS a
        ON (a.is_ranked OR w.dimension = 'impact') AND (w.applies_to = 'all' OR a.app_origin IN (w.applies_to, 'unknown'))
    LEFT JOIN judged AS j ON j.service_principal_id = a.service_principal_id AND j.part_id = w.part_id
    WHERE j.part_id IS NULL
),

parts AS (
    FROM judged
    UNION ALL BY NAME FROM unjudged
),

-- Nothing is cut in silence: what a dimension has too much is a part of its own.
excess AS (
    SELECT
        p.service_principal_id,
        w.part_id,
        p.dimension,
        CAST(w.cap - sum(p.points) AS INTEGER) AS points,
        0 AS max_points,
        'The parts of ' || p.dimension || ' add up to ' || CAST(sum(p.points) AS INTEGER) || '; it counts up to '
            || w.cap || '.' AS why,
        true AS known
    FROM parts AS p
    INNER JOIN weights AS w ON w.part_id = p.dimension || '_over_cap'
    GROUP BY p.service_principal_id, w.part_id, p.dimension, w.cap
    HAVING sum(p.points) > w.cap
)

SELECT * FROM parts
UNION ALL BY NAME
SELECT * FROM excess
ORDER BY service_principal_id, dimension, points DESC, part_id
