-- grain: permission held whose calls a smaller permission, also held, would have served
-- source: permission_calls, permission_options
-- Smaller: of a lower level, or of the same level and allowed by fewer rules of the endpoint map.
WITH used AS (
    SELECT DISTINCT service_principal_id, permission_type, permission, set_id
    FROM permission_calls
    WHERE calls > 0
),

sized AS (
    SELECT u.*, o.weight, o.reach, o.is_sure
    FROM used AS u
    INNER JOIN permission_options AS o USING (set_id, permission)
),

needed AS (
    SELECT service_principal_id, permission_type, permission, count(*) AS sets
    FROM used
    GROUP BY ALL
),

shared AS (
    SELECT
        larger.service_principal_id,
        larger.permission_type,
        larger.permission,
        smaller.permission AS covered_by,
        max(smaller.weight) AS weight,
        any_value(smaller.reach) AS reach,
        count(*) AS sets
    FROM sized AS larger
    INNER JOIN sized AS smaller
        ON smaller.service_principal_id = larger.service_principal_id
        AND smaller.permission_type = larger.permission_type
        AND smaller.set_id = larger.set_id
        AND smaller.is_sure
        AND (smaller.weight, smaller.reach) < (larger.weight, larger.reach)
    GROUP BY ALL
)

SELECT
    s.service_principal_id,
    s.permission_type,
    s.permission,
    s.covered_by
FROM shared AS s
INNER JOIN needed AS n USING (service_principal_id, permission_type, permission, sets)
QUALIFY row_number() OVER (
    PARTITION BY s.service_principal_id, s.permission_type, s.permission
    ORDER BY s.weight, s.reach, s.covered_by
) = 1
