-- grain: service principal with permissions
-- source: app_permissions, stg_service_principals
WITH held AS (
    SELECT
        p.service_principal_id,
        p.permission,
        p.permission_type,
        p.usage,
        p.resource_name,
        s.app_id AS resource_app_id
    FROM app_permissions AS p
    LEFT JOIN stg_service_principals AS s ON s.service_principal_id = p.resource_id
)

SELECT
    service_principal_id,
    count(*) FILTER (resource_app_id = '00000003-0000-0000-c000-000000000000') AS graph_permission_count,
    count(*) FILTER (resource_app_id <> '00000003-0000-0000-c000-000000000000') AS other_permission_count,
    -- the resource is gone or was not read: whose permission it is, nobody knows
    count(*) FILTER (resource_app_id IS NULL) AS unknown_resource_count,
    list_sort(list_distinct(list(resource_name) FILTER (resource_name IS NOT NULL))) AS api_names,
    CASE
        WHEN bool_or(usage = 'unused') THEN 'some_unused'
        WHEN bool_and(usage = 'used') THEN 'all_used'
        ELSE 'unknown'
    END AS permission_usage
FROM held
GROUP BY service_principal_id
ORDER BY service_principal_id
