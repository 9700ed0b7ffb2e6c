-- grain: audit event x app it concerns
-- source: stg_directory_audits, app_inventory, findings; apps with an open finding, the 90 days up to $as_of
SELECT DISTINCT
    i.service_principal_id,
    a.activity_at,
    a.activity,
    a.result,
    a.actor_name,
    a.actor_type,
    a.audit_id
FROM stg_directory_audits AS a
INNER JOIN app_inventory AS i
    ON list_contains(a.target_ids, i.service_principal_id) OR list_contains(a.target_ids, i.application_id)
SEMI JOIN (FROM findings WHERE state NOT IN ('resolved', 'excepted')) AS f ON f.service_principal_id = i.service_principal_id
WHERE a.activity_at >= CAST($as_of AS DATE) - 89 AND a.activity_at < CAST($as_of AS DATE) + 1
ORDER BY i.service_principal_id, a.activity_at DESC, a.audit_id
