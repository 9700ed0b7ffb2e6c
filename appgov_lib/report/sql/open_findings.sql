-- grain: open finding
-- source: findings, app_inventory, app_permissions; most severe first, then by the app's risk score
WITH strongest AS (
    SELECT
        service_principal_id,
        -- application permissions before delegated ones: they work without a user
        first(permission ORDER BY
            list_position(['high', 'medium', 'low'], privilege_level),
            permission_type,
            permission
        ) AS permission,
        first(permission_type ORDER BY
            list_position(['high', 'medium', 'low'], privilege_level),
            permission_type,
            permission
        ) AS permission_type
    FROM app_permissions
    GROUP BY service_principal_id
)

SELECT
    f.*,
    i.app_origin,
    i.publisher_name,
    i.publisher_verified,
    i.privilege_level,
    i.risk_score,
    i.risk_impact,
    i.risk_likelihood,
    i.is_ranked,
    s.permission AS strongest_permission,
    s.permission_type AS strongest_type
FROM findings AS f
LEFT JOIN app_inventory AS i ON i.service_principal_id = f.service_principal_id
LEFT JOIN strongest AS s ON s.service_principal_id = f.service_principal_id
WHERE f.state NOT IN ('resolved', 'excepted')
ORDER BY
    list_position(['critical', 'high', 'medium', 'low', 'info'], f.severity),
    i.is_ranked DESC NULLS LAST,
    i.risk_score DESC NULLS LAST,
    f.display_name,
    f.policy_id,
    f.finding_id
