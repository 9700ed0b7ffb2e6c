-- grain: instance of a role eligibility (a role somebody may switch on)
-- source: Graph /roleManagement/directory/roleEligibilityScheduleInstances
SELECT
    -- opaque and case-sensitive: never folded
    filled(id) AS schedule_instance_id,
    guid("principalId") AS principal_id,
    guid("roleDefinitionId") AS role_definition_id,
    filled(coalesce("directoryScopeId", "appScopeId")) AS scope,
    filled("memberType") AS member_type,
    to_utc("startDateTime") AS starts_at,
    to_utc("endDateTime") AS ends_at,
    filled("roleEligibilityScheduleId") AS schedule_id
FROM read_json($role_eligibility_schedules,
    format = 'newline_delimited', records = true, ignore_errors = true, columns = {
    id: 'VARCHAR',
    "principalId": 'VARCHAR',
    "roleDefinitionId": 'VARCHAR',
    "directoryScopeId": 'VARCHAR',
    "appScopeId": 'VARCHAR',
    "memberType": 'VARCHAR',
    "startDateTime": 'VARCHAR',
    "endDateTime": 'VARCHAR',
    "roleEligibilityScheduleId": 'VARCHAR'
})
WHERE filled(id) IS NOT NULL
QUALIFY row_number() OVER (
    PARTITION BY id
    ORDER BY "principalId", "roleDefinitionId", "startDateTime", "endDateTime"
) = 1
ORDER BY schedule_instance_id
