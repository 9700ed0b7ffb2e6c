-- grain: Entra directory role assignment
-- source: Graph /roleManagement/directory/roleAssignments, names from /roleManagement/directory/roleDefinitions
WITH definitions AS (
    SELECT
        guid(id) AS role_definition_id,
        filled("displayName") AS role_name,
        TRY_CAST("isPrivileged" AS BOOLEAN) AS is_privileged
    FROM read_json($directory_role_definitions,
        format = 'newline_delimited', records = true, ignore_errors = true, columns = {
        id: 'VARCHAR',
        "displayName": 'VARCHAR',
        "isPrivileged": 'VARCHAR'
    })
    WHERE guid(id) IS NOT NULL
    QUALIFY row_number() OVER (PARTITION BY guid(id) ORDER BY "isPrivileged" IS NULL, "displayName") = 1
),

assignments AS (
    SELECT
        filled(id) AS assignment_id,
        guid("principalId") AS principal_id,
        guid("roleDefinitionId") AS role_definition_id,
        filled(coalesce("directoryScopeId", "appScopeId")) AS scope
    FROM read_json($directory_role_assignments,
        format = 'newline_delimited', records = true, ignore_errors = true, columns = {
        id: 'VARCHAR',
        "principalId": 'VARCHAR',
        "roleDefinitionId": 'VARCHAR',
        "directoryScopeId": 'VARCHAR',
        "appScopeId": 'VARCHAR'
    })
    WHERE filled(id) IS NOT NULL
    QUALIFY row_number() OVER (PARTITION BY id ORDER BY "principalId", "roleDefinitionId") = 1
)

SELECT
    a.assignment_id,
    a.principal_id,
    a.role_definition_id,
    coalesce(d.role_name, p.role_name) AS role_name,
    -- v1.0 does not return isPrivileged: our own list of built-in roles answers then, NULL if neither knows
    coalesce(d.is_privileged, CAST(p.is_privileged AS BOOLEAN)) AS is_privileged,
    a.scope
FROM assignments AS a
LEFT JOIN definitions AS d USING (role_definition_id)
LEFT JOIN ref_privileged_roles AS p USING (role_definition_id)
ORDER BY a.assignment_id
