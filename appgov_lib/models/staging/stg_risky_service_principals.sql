-- grain: service principal at risk
-- source: Graph /identityProtection/riskyServicePrincipals
SELECT
    guid(id) AS service_principal_id,
    guid("appId") AS app_id,
    filled("displayName") AS display_name,
    filled("servicePrincipalType") AS service_principal_type,
    -- beta says accountEnabled
    TRY_CAST(coalesce("isEnabled", "accountEnabled") AS BOOLEAN) AS is_enabled,
    TRY_CAST("isProcessing" AS BOOLEAN) AS is_processing,
    filled("riskLevel") AS risk_level,
    filled("riskState") AS risk_state,
    filled("riskDetail") AS risk_detail,
    to_utc("riskLastUpdatedDateTime") AS risk_updated_at
FROM read_json($risky_service_principals,
    format = 'newline_delimited', records = true, ignore_errors = true, columns = {
    id: 'VARCHAR',
    "appId": 'VARCHAR',
    "displayName": 'VARCHAR',
    "servicePrincipalType": 'VARCHAR',
    "isEnabled": 'VARCHAR',
    "accountEnabled": 'VARCHAR',
    "isProcessing": 'VARCHAR',
    "riskLevel": 'VARCHAR',
    "riskState": 'VARCHAR',
    "riskDetail": 'VARCHAR',
    "riskLastUpdatedDateTime": 'VARCHAR'
})
WHERE guid(id) IS NOT NULL
QUALIFY row_number() OVER (
    PARTITION BY guid(id)
    ORDER BY risk_updated_at DESC NULLS LAST, risk_state, risk_level, risk_detail, display_name
) = 1
ORDER BY service_principal_id
