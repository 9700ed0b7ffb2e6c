-- grain: what changed about an app at one time by one hand (app x time x kind x change x before x after x actor)
-- source: changes, findings; apps with an open finding, the 90 days up to $as_of, the newest first
SELECT
    c.service_principal_id,
    c.changed_at,
    c.kind,
    c.change,
    -- one consent is one line, however many permissions it names
    string_agg(c.subject, ', ' ORDER BY c.subject, c.change_id) AS subject,
    c.before,
    c.after,
    c.actor_name,
    c.reason
FROM changes AS c
SEMI JOIN (FROM findings WHERE state NOT IN ('resolved', 'excepted')) AS f
    ON f.service_principal_id = c.service_principal_id
WHERE c.changed_at >= CAST($as_of AS DATE) - 89 AND c.changed_at < CAST($as_of AS DATE) + 1
GROUP BY ALL
ORDER BY
    c.service_principal_id,
    c.changed_at DESC,
    c.kind,
    c.change,
    subject,
    c.before,
    c.after,
    c.actor_name,
    c.reason
