-- grain: deleted app registration that can still be restored
-- source: Graph /directory/deletedItems/graph.application (kept 30 days)
SELECT
    guid(id) AS application_id,
    guid("appId") AS app_id,
    filled("displayName") AS display_name,
    to_utc("deletedDateTime") AS deleted_at,
    to_utc("createdDateTime") AS created_at,
    filled("signInAudience") AS sign_in_audience,
    filled("publisherDomain") AS publisher_domain,
    -- a restored app comes back with its credentials
    "keyCredentials" AS key_credentials,
    "passwordCredentials" AS password_credentials
FROM read_json($deleted_applications,
    format = 'newline_delimited', records = true, ignore_errors = true, columns = {
    id: 'VARCHAR',
    "appId": 'VARCHAR',
    "displayName": 'VARCHAR',
    "deletedDateTime": 'VARCHAR',
    "createdDateTime": 'VARCHAR',
    "signInAudience": 'VARCHAR',
    "publisherDomain": 'VARCHAR',
    "keyCredentials": 'JSON',
    "passwordCredentials": 'JSON'
})
WHERE guid(id) IS NOT NULL
QUALIFY row_number() OVER (
    PARTITION BY guid(id)
    ORDER BY deleted_at DESC NULLS LAST, "appId", "displayName", "createdDateTime"
) = 1
ORDER BY application_id
