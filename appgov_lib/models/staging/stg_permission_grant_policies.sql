-- grain: permission grant policy
-- source: Graph /policies/permissionGrantPolicies with their conditions
SELECT
    -- a name the administrator chose, or microsoft-user-default-low and the like: never folded
    filled(id) AS policy_id,
    filled("displayName") AS display_name,
    filled(description) AS description,
    TRY_CAST("includeAllPreApprovedApplications" AS BOOLEAN) AS includes_pre_approved,
    -- NULL where the conditions were not sent along, which is not the same as none
    CASE WHEN json_type(includes) = 'ARRAY' THEN json_array_length(includes) END AS include_count,
    CASE WHEN json_type(excludes) = 'ARRAY' THEN json_array_length(excludes) END AS exclude_count,
    includes,
    excludes
FROM read_json($permission_grant_policies,
    format = 'newline_delimited', records = true, ignore_errors = true, columns = {
    id: 'VARCHAR',
    "displayName": 'VARCHAR',
    description: 'VARCHAR',
    "includeAllPreApprovedApplications": 'VARCHAR',
    includes: 'JSON',
    excludes: 'JSON'
})
WHERE filled(id) IS NOT NULL
QUALIFY row_number() OVER (
    PARTITION BY id
    ORDER BY includes IS NULL, "displayName", CAST(includes AS VARCHAR), CAST(excludes AS VARCHAR)
) = 1
ORDER BY policy_id
