-- grain: app x metric x anomalous day x dimension x value, the three that took part most
-- source: anomaly_contributors, stg_users, findings; apps with an open finding
SELECT
    c.app_id,
    c.day,
    c.metric,
    c.dimension,
    c.place,
    coalesce(u.user_principal_name, c.value) AS value,
    c.share,
    c.usual_share,
    c.reason
FROM anomaly_contributors AS c
SEMI JOIN (FROM findings WHERE state NOT IN ('resolved', 'excepted')) AS f ON f.app_id = c.app_id
LEFT JOIN stg_users AS u ON c.dimension = 'user' AND u.user_id = c.value
WHERE c.place <= 3
ORDER BY c.app_id, c.day, c.metric, c.dimension, c.place
