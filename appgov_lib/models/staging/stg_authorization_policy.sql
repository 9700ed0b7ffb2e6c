-- grain: the authorization policy (one a tenant)
-- source: Graph /policies/authorizationPolicy
WITH policies AS (
    SELECT
        *,
        -- beta keeps the list beside the role instead of in it; an empty list means that users may not consent
        coalesce(
            texts_or_null("defaultUserRolePermissions" -> '$.permissionGrantPoliciesAssigned'),
            texts_or_null("permissionGrantPolicyIdsAssignedToDefaultUserRole")
        ) AS user_consent_policies
    FROM read_json($authorization_policy,
        format = 'newline_delimited', records = true, ignore_errors = true, columns = {
        id: 'VARCHAR',
        "displayName": 'VARCHAR',
        "allowInvitesFrom": 'VARCHAR',
        "guestUserRoleId": 'VARCHAR',
        "allowUserConsentForRiskyApps": 'VARCHAR',
        "allowEmailVerifiedUsersToJoinOrganization": 'VARCHAR',
        "blockMsolPowerShell": 'VARCHAR',
        "defaultUserRolePermissions": 'JSON',
        "permissionGrantPolicyIdsAssignedToDefaultUserRole": 'JSON'
    })
)

SELECT
    filled(id) AS policy_id,
    filled("displayName") AS display_name,
    user_consent_policies,
    TRY_CAST("allowUserConsentForRiskyApps" AS BOOLEAN) AS users_may_consent_to_risky_apps,
    TRY_CAST("defaultUserRolePermissions" ->> '$.allowedToCreateApps' AS BOOLEAN) AS users_may_register_apps,
    TRY_CAST("defaultUserRolePermissions" ->> '$.allowedToCreateTenants' AS BOOLEAN) AS users_may_create_tenants,
    TRY_CAST("defaultUserRolePermissions" ->> '$.allowedToCreateSecurityGroups' AS BOOLEAN)
        AS users_may_create_security_groups,
    TRY_CAST("defaultUserRolePermissions" ->> '$.allowedToReadOtherUsers' AS BOOLEAN) AS users_may_read_other_users,
    filled("allowInvitesFrom") AS invites_from,
    guid("guestUserRoleId") AS guest_role_id,
    TRY_CAST("allowEmailVerifiedUsersToJoinOrganization" AS BOOLEAN) AS email_users_may_join,
    TRY_CAST("blockMsolPowerShell" AS BOOLEAN) AS msol_powershell_blocked
FROM policies
WHERE filled(id) IS NOT NULL
QUALIFY row_number() OVER (
    PARTITION BY id
    ORDER BY "defaultUserRolePermissions" IS NULL, CAST("defaultUserRolePermissions" AS VARCHAR), "displayName"
) = 1
ORDER BY policy_id
