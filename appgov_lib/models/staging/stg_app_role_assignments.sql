-- grain: app role assignment
-- source: Graph /servicePrincipals/{id}/appRoleAssignedTo of every resource that publishes roles
WITH assignments AS (
    SELECT
        filled(id) AS assignment_id,
        guid("principalId") AS service_principal_id,
        filled("principalType") AS principal_type,
        guid("resourceId") AS resource_id,
        -- the all-zero role means "may use the app, no role": it becomes NULL here and is no permission
        guid("appRoleId") AS app_role_id,
        -- beta says creationTimestamp
        to_utc(coalesce("createdDateTime", "creationTimestamp")) AS created_at
    FROM read_json($app_role_assignments,
        format = 'newline_delimited', records = true, ignore_errors = true, columns = {
        id: 'VARCHAR',
        "principalId": 'VARCHAR',
        "principalType": 'VARCHAR',
        "resourceId": 'VARCHAR',
        "appRoleId": 'VARCHAR',
        "createdDateTime": 'VARCHAR',
        "creationTimestamp": 'VARCHAR'
    })
    WHERE filled(id) IS NOT NULL
    QUALIFY row_number() OVER (PARTITION BY id ORDER BY "createdDateTime", "appRoleId", "resourceId") = 1
)

SELECT
    a.assignment_id,
    a.service_principal_id,
    a.principal_type,
    a.resource_id,
    a.app_role_id,
    d.permission,
    a.created_at
FROM assignments AS a
LEFT JOIN permission_definitions AS d
    ON d.resource_id = a.resource_id
    AND d.permission_id = a.app_role_id
    AND d.permission_type = 'application'
ORDER BY a.assignment_id
