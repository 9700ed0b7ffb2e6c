-- grain: delegated permission grant
-- source: Graph /oauth2PermissionGrants
SELECT
    -- opaque and case-sensitive: never folded
    filled(id) AS grant_id,
    guid("clientId") AS service_principal_id,
    guid("resourceId") AS resource_id,
    filled("consentType") AS consent_type,
    guid("principalId") AS principal_id,
    -- one text with blanks, sometimes a leading one, sometimes a name twice
    list_sort(list_distinct(list_filter(
        string_split_regex(trim(coalesce(scope, '')), '\s+'),
        lambda s: s <> ''
    ))) AS scopes
FROM read_json($delegated_grants,
    format = 'newline_delimited', records = true, ignore_errors = true, columns = {
    id: 'VARCHAR',
    "clientId": 'VARCHAR',
    "resourceId": 'VARCHAR',
    "consentType": 'VARCHAR',
    "principalId": 'VARCHAR',
    scope: 'VARCHAR'
})
WHERE filled(id) IS NOT NULL
QUALIFY row_number() OVER (PARTITION BY id ORDER BY scope, "principalId") = 1
ORDER BY grant_id
