-- grain: grant that deserves a look
-- source: risky_grants, consent_posture, stg_users, findings; apps with an open finding
SELECT
    g.service_principal_id,
    g.permissions,
    g.permission_type,
    g.privilege_level,
    CASE
        WHEN g.principal_id IS NULL THEN 'everybody'
        ELSE coalesce(u.user_principal_name, g.principal_id)
    END AS acts_for,
    g.consented_at,
    g.consented_by_name,
    g.let_in_by,
    p.setting,
    p.value AS setting_value,
    p.verdict AS setting_verdict,
    g.still_open,
    g.reason,
    g.grant_id
FROM risky_grants AS g
LEFT JOIN consent_posture AS p ON p.setting_id = g.let_in_by
LEFT JOIN stg_users AS u ON u.user_id = g.principal_id
SEMI JOIN (FROM findings WHERE state NOT IN ('resolved', 'excepted')) AS f
    ON f.service_principal_id = g.service_principal_id
ORDER BY
    g.service_principal_id,
    list_position(['high', 'medium', 'low'], g.privilege_level),
    g.consented_at DESC NULLS LAST,
    acts_for,
    g.grant_id
