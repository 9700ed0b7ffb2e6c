-- grain: deleted service principal that can still be restored
-- source: Graph /directory/deletedItems/graph.servicePrincipal (kept 30 days)
SELECT
    guid(id) AS service_principal_id,
    guid("appId") AS app_id,
    filled("displayName") AS display_name,
    to_utc("deletedDateTime") AS deleted_at,
    to_utc("createdDateTime") AS created_at,
    guid("appOwnerOrganizationId") AS app_owner_tenant_id,
    filled("servicePrincipalType") AS service_principal_type,
    TRY_CAST("accountEnabled" AS BOOLEAN) AS account_enabled
FROM read_json($deleted_service_principals,
    format = 'newline_delimited', records = true, ignore_errors = true, columns = {
    id: 'VARCHAR',
    "appId": 'VARCHAR',
    "displayName": 'VARCHAR',
    "deletedDateTime": 'VARCHAR',
    "createdDateTime": 'VARCHAR',
    "appOwnerOrganizationId": 'VARCHAR',
    "servicePrincipalType": 'VARCHAR',
    "accountEnabled": 'VARCHAR'
})
WHERE guid(id) IS NOT NULL
QUALIFY row_number() OVER (
    PARTITION BY guid(id)
    ORDER BY deleted_at DESC NULLS LAST, "appId", "displayName", "createdDateTime"
) = 1
ORDER BY service_principal_id
