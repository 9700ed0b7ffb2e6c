-- grain: user
-- source: Graph /users (six columns, nothing more is asked for)
SELECT
    guid(id) AS user_id,
    filled(lower("userPrincipalName")) AS user_principal_name,
    filled("displayName") AS display_name,
    TRY_CAST("accountEnabled" AS BOOLEAN) AS account_enabled,
    filled("userType") AS user_type,
    to_utc("createdDateTime") AS created_at
FROM read_json($users,
    format = 'newline_delimited', records = true, ignore_errors = true, columns = {
    id: 'VARCHAR',
    "userPrincipalName": 'VARCHAR',
    "displayName": 'VARCHAR',
    "accountEnabled": 'VARCHAR',
    "userType": 'VARCHAR',
    "createdDateTime": 'VARCHAR'
})
WHERE guid(id) IS NOT NULL
QUALIFY row_number() OVER (PARTITION BY guid(id) ORDER BY "userPrincipalName", "displayName") = 1
ORDER BY user_id
