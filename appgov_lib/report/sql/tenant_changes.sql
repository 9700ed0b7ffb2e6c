-- grain: change that the newest complete reading of its source shows and the one before did not
-- source: changes, app_inventory; Microsoft's own apps and managed identities are left out
SELECT
    c.changed_at,
    c.kind,
    c.change,
    c.service_principal_id,
    c.app_id,
    c.display_name,
    c.subject,
    c.before,
    c.after,
    c.actor_name,
    c.reason,
    c.change_id
FROM changes AS c
LEFT JOIN app_inventory AS i ON i.service_principal_id = c.service_principal_id
WHERE c.is_latest AND coalesce(i.is_in_scope, true)
ORDER BY c.changed_at DESC, c.kind, c.display_name, c.subject, c.change, c.change_id
