-- grain: app management policy for chosen apps
-- source: Graph /policies/appManagementPolicies
SELECT
    guid(id) AS policy_id,
    filled("displayName") AS display_name,
    filled(description) AS description,
    TRY_CAST("isEnabled" AS BOOLEAN) AS is_enabled,
    restrictions -> '$.passwordCredentials' AS password_rules,
    restrictions -> '$.keyCredentials' AS key_rules,
    restrictions -> '$.applicationRestrictions' AS application_rules
FROM read_json($app_management_policies,
    format = 'newline_delimited', records = true, ignore_errors = true, columns = {
    id: 'VARCHAR',
    "displayName": 'VARCHAR',
    description: 'VARCHAR',
    "isEnabled": 'VARCHAR',
    restrictions: 'JSON'
})
WHERE guid(id) IS NOT NULL
QUALIFY row_number() OVER (
    PARTITION BY guid(id)
    ORDER BY restrictions IS NULL, "displayName", "isEnabled", CAST(restrictions AS VARCHAR)
) = 1
ORDER BY policy_id
