-- grain: owner of an object, or holder of an Entra role, in one form, with the readings it was seen in
-- source: Graph owners of applications and service principals, role assignments, of all complete snapshots
WITH owned AS (
    SELECT
        'application_owners' AS source, snapshot_of(filename) AS snapshot_id, id, unnest(items(owners)) AS member
    FROM read_json($application_owners_history,
        format = 'newline_delimited', records = true, ignore_errors = true, filename = true, columns = {
        id: 'VARCHAR',
        owners: 'JSON'
    })
    UNION ALL
    SELECT 'service_principal_owners', snapshot_of(filename), id, unnest(items(owners))
    FROM read_json($service_principal_owners_history,
        format = 'newline_delimited', records = true, ignore_errors = true, filename = true, columns = {
        id: 'VARCHAR',
        owners: 'JSON'
    })
),

members AS (
    SELECT
        source,
        snapshot_id,
        guid(id) AS object_id,
        guid(member ->> '$.id') AS member_id,
        CAST(NULL AS VARCHAR) AS assignment_id,
        CAST(NULL AS VARCHAR) AS scope,
        CASE member ->> '$."@odata.type"'
            WHEN '#microsoft.graph.user' THEN 'user'
            WHEN '#microsoft.graph.servicePrincipal' THEN 'service_principal'
            ELSE 'unknown'
        END AS member_type,
        filled(coalesce(member ->> '$.userPrincipalName', member ->> '$.displayName')) AS member_name
    FROM owned
    UNION ALL
    -- the object is the role, its member the principal that holds it
    SELECT
        'directory_role_assignments',
        snapshot_of(filename),
        guid("roleDefinitionId"),
        guid("principalId"),
        filled(id),
        filled(coalesce("directoryScopeId", "appScopeId")),
        'unknown',
        NULL
    FROM read_json($directory_role_assignments_history,
        format = 'newline_delimited', records = true, ignore_errors = true, filename = true, columns = {
        id: 'VARCHAR',
        "principalId": 'VARCHAR',
        "roleDefinitionId": 'VARCHAR',
        "directoryScopeId": 'VARCHAR',
        "appScopeId": 'VARCHAR'
    })
    WHERE filled(id) IS NOT NULL
),

raw AS (
    SELECT m.* EXCLUDE (snapshot_id), list(r.reading) AS readings
    FROM members AS m
    INNER JOIN source_readings AS r ON r.source = m.source AND r.snapshot_id = m.snapshot_id
    GROUP BY ALL
),

kept AS (
    SELECT k.* EXCLUDE (snapshot_id), list(r.reading) AS readings
    FROM (SELECT * EXCLUDE (snapshots), unnest(snapshots) AS snapshot_id FROM kept_members_seen) AS k
    INNER JOIN source_readings AS r ON r.source = k.source AND r.snapshot_id = k.snapshot_id
    GROUP BY ALL
)

SELECT * EXCLUDE (readings), list_sort(list_distinct(flatten(list(readings)))) AS readings
FROM (SELECT * FROM raw UNION ALL BY NAME SELECT * FROM kept)
WHERE object_id IS NOT NULL AND member_id IS NOT NULL
GROUP BY ALL
