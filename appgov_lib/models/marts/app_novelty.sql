-- grain: app x log x dimension
-- source: first_seen_values, app_first_seen
-- Windows of equal length are compared, and new values are counted: more days always show more distinct values.
-- Each value once: counted so, it is less work than count(DISTINCT) for each window.
WITH shown AS (
    SELECT
        app_id,
        family,
        dimension,
        value,
        count(*) FILTER (is_now) > 0 AS is_now,
        count(*) FILTER (NOT is_now) > 0 AS is_previous,
        sum(events) FILTER (is_now) AS events_now,
        sum(events) FILTER (NOT is_now) AS events_previous
    FROM (
        SELECT *, day > CAST($as_of AS DATE) - CAST($days AS INTEGER) AS is_now
        FROM first_seen_values
        WHERE day > CAST($as_of AS DATE) - 2 * CAST($days AS INTEGER)
    )
    GROUP BY app_id, family, dimension, value
),

periods AS (
    SELECT
        app_id,
        family,
        dimension,
        count(value) FILTER (is_now) AS values_now,
        count(value) FILTER (is_previous) AS values_previous,
        CAST(coalesce(sum(events_now), 0) AS BIGINT) AS events_now,
        CAST(coalesce(sum(events_previous), 0) AS BIGINT) AS events_previous
    FROM shown
    GROUP BY app_id, family, dimension
),

news AS (
    SELECT
        app_id,
        family,
        dimension,
        count(*) FILTER (novelty = 'new') AS new_values,
        count(*) FILTER (novelty = 'unknown') AS unjudged_values,
        CAST(coalesce(sum(events_now) FILTER (novelty = 'new'), 0) AS BIGINT) AS new_events
    FROM app_first_seen
    GROUP BY ALL
)

SELECT
    p.app_id,
    p.family,
    p.dimension,
    p.values_now,
    p.values_previous,
    p.events_now,
    p.events_previous,
    n.new_values,
    n.unjudged_values,
    n.new_events,
    -- how much of what the app did in the period came with something new
    round(n.new_events / nullif(p.events_now, 0), 4) AS new_share
FROM periods AS p
INNER JOIN news AS n ON n.app_id = p.app_id AND n.family = p.family AND n.dimension = p.dimension
ORDER BY p.app_id, p.family, p.dimension
