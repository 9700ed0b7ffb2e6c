-- grain: app x permission held x type x method x endpoint, over the 30 days that end with $as_of
-- source: consent_grants, app_calls, called_endpoints
-- The calls that prove a permission of Microsoft Graph, and those that were tried with it in vain (calls = 0).
WITH allowed AS (
    SELECT DISTINCT
        set_id,
        unnest(permissions) AS permission
    FROM called_endpoints
    WHERE set_id IS NOT NULL
)

SELECT
    g.service_principal_id,
    g.app_id,
    g.resource_id,
    g.permission,
    g.permission_type,
    c.method,
    c.endpoint,
    c.set_id,
    c.served_calls AS calls,
    c.calls - c.served_calls AS refused_calls,
    c.is_sure,
    c.last_served_at AS last_called_at
FROM consent_grants AS g
INNER JOIN app_calls AS c ON c.app_id = g.app_id AND c.permission_type = g.permission_type
INNER JOIN allowed AS a ON a.set_id = c.set_id AND a.permission = g.permission
WHERE g.resource_app_id = '00000003-0000-0000-c000-000000000000'
ORDER BY g.service_principal_id, g.permission_type, g.permission, c.endpoint, c.method
