-- grain: the tenant's app management policy (one a tenant)
-- source: Graph /policies/defaultAppManagementPolicy
SELECT
    -- the id is all zeros here and means no "none"
    filled(id) AS policy_id,
    filled("displayName") AS display_name,
    TRY_CAST("isEnabled" AS BOOLEAN) AS is_enabled,
    "applicationRestrictions" -> '$.passwordCredentials' AS application_password_rules,
    "applicationRestrictions" -> '$.keyCredentials' AS application_key_rules,
    "servicePrincipalRestrictions" -> '$.passwordCredentials' AS service_principal_password_rules,
    "servicePrincipalRestrictions" -> '$.keyCredentials' AS service_principal_key_rules,
    "applicationRestrictions" -> '$.identifierUris' AS identifier_uri_rules
FROM read_json($default_app_management_policy,
    format = 'newline_delimited', records = true, ignore_errors = true, columns = {
    id: 'VARCHAR',
    "displayName": 'VARCHAR',
    "isEnabled": 'VARCHAR',
    "applicationRestrictions": 'JSON',
    "servicePrincipalRestrictions": 'JSON'
})
WHERE filled(id) IS NOT NULL
QUALIFY row_number() OVER (
    PARTITION BY id
    ORDER BY "isEnabled" IS NULL, "isEnabled", CAST("applicationRestrictions" AS VARCHAR), "displayName"
) = 1
ORDER BY policy_id
