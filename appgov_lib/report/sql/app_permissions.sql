-- grain: permission of an app (service principal x resource x permission x type)
-- source: app_permissions, permission_judgements, stg_service_principals, findings; apps with an open finding
SELECT
    p.*,
    -- where an administrator may have narrowed it in a way that no interface of Graph shows
    j.may_be_limited_by
FROM app_permissions AS p
LEFT JOIN stg_service_principals AS r ON r.service_principal_id = p.resource_id
LEFT JOIN permission_judgements AS j
    ON j.resource_app_id = r.app_id AND j.permission = p.permission AND j.permission_type = p.permission_type
SEMI JOIN (FROM findings WHERE state NOT IN ('resolved', 'excepted')) AS f
    ON f.service_principal_id = p.service_principal_id
ORDER BY
    p.service_principal_id,
    list_position(['high', 'medium', 'low'], p.privilege_level),
    p.permission_type,
    p.permission,
    p.resource_id
