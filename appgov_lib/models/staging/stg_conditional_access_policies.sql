-- grain: Conditional Access policy
-- source: Graph /identity/conditionalAccess/policies
SELECT
    guid(id) AS policy_id,
    filled("displayName") AS display_name,
    filled(state) AS state,
    to_utc("createdDateTime") AS created_at,
    to_utc("modifiedDateTime") AS modified_at,
    -- client applications are the workload identities a policy is for; the others are for people
    CASE
        WHEN json_type(conditions) = 'OBJECT'
            THEN len(texts(conditions -> '$.clientApplications.includeServicePrincipals')) > 0
    END AS is_for_workload_identities,
    texts(conditions -> '$.clientApplications.includeServicePrincipals') AS included_service_principals,
    texts(conditions -> '$.clientApplications.excludeServicePrincipals') AS excluded_service_principals,
    filled(conditions ->> '$.clientApplications.servicePrincipalFilter.rule') AS service_principal_rule,
    texts(conditions -> '$.servicePrincipalRiskLevels') AS service_principal_risk_levels,
    texts(conditions -> '$.applications.includeApplications') AS included_applications,
    texts(conditions -> '$.applications.excludeApplications') AS excluded_applications,
    filled("grantControls" ->> '$.operator') AS grant_operator,
    texts("grantControls" -> '$.builtInControls') AS grant_controls,
    conditions
FROM read_json($conditional_access_policies,
    format = 'newline_delimited', records = true, ignore_errors = true, columns = {
    id: 'VARCHAR',
    "displayName": 'VARCHAR',
    state: 'VARCHAR',
    "createdDateTime": 'VARCHAR',
    "modifiedDateTime": 'VARCHAR',
    conditions: 'JSON',
    "grantControls": 'JSON'
})
WHERE guid(id) IS NOT NULL
QUALIFY row_number() OVER (
    PARTITION BY guid(id)
    ORDER BY modified_at DESC NULLS LAST, created_at DESC NULLS LAST, state, display_name, CAST(conditions AS VARCHAR)
) = 1
ORDER BY policy_id
