-- grain: Entra role assignment, from when to when (assignment x first snapshot)
-- source: access_times_history, stg_directory_role_assignments, reference/privileged_roles.csv
WITH names AS (
    SELECT role_definition_id, min(role_name) AS role_name FROM stg_directory_role_assignments GROUP BY ALL
)

SELECT
    h.object_key AS assignment_id,
    h.holder_id AS principal_id,
    h.value AS role_definition_id,
    coalesce(n.role_name, p.role_name) AS role_name,
    h.scope,
    h.valid_from,
    h.valid_from_source,
    h.valid_to,
    h.valid_to_source,
    h.begun_by_id AS assigned_by_id,
    h.begun_by_name AS assigned_by_name,
    h.begun_at AS assigned_at,
    h.ended_by_id AS removed_by_id,
    h.ended_by_name AS removed_by_name,
    h.first_snapshot,
    h.last_snapshot
FROM access_times_history AS h
LEFT JOIN names AS n ON n.role_definition_id = h.value
LEFT JOIN ref_privileged_roles AS p ON p.role_definition_id = h.value
WHERE h.kind = 'role'
ORDER BY principal_id, role_definition_id, assignment_id, first_reading
