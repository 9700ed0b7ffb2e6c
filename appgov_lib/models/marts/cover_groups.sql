-- grain: app with calls that its permissions explain (service principal x type), and the group of its like
-- source: permission_calls
-- Apps with the same calls and the same permissions for them have the same answer: it is worked out once.
WITH apps AS (
    SELECT
        service_principal_id,
        permission_type,
        list(DISTINCT set_id ORDER BY set_id) AS sets,
        list(DISTINCT permission ORDER BY permission) AS held
    FROM permission_calls
    WHERE calls > 0
    GROUP BY ALL
)

SELECT
    service_principal_id,
    permission_type,
    dense_rank() OVER (ORDER BY permission_type, sets, held) AS group_id,
    sets,
    held
FROM apps
