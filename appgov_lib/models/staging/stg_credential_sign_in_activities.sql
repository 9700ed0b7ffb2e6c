-- grain: credential (app x key)
-- source: Graph beta /reports/appCredentialSignInActivities
SELECT
    guid("appId") AS app_id,
    guid("keyId") AS key_id,
    min("keyType") AS key_type,
    min("keyUsage") AS key_usage,
    min("credentialOrigin") AS credential_origin,
    -- the published example names it expirationDate, the schema expirationDateTime
    max(to_utc(coalesce("expirationDateTime", "expirationDate"))) AS expires_at,
    max(to_utc("signInActivity" ->> '$.lastSignInDateTime')) AS last_sign_in_at,
    min(guid("resourceId")) AS resource_id
FROM read_json($credential_sign_in_activities,
    format = 'newline_delimited', records = true, ignore_errors = true, columns = {
    "appId": 'VARCHAR',
    "keyId": 'VARCHAR',
    "keyType": 'VARCHAR',
    "keyUsage": 'VARCHAR',
    "credentialOrigin": 'VARCHAR',
    "expirationDateTime": 'VARCHAR',
    "expirationDate": 'VARCHAR',
    "signInActivity": 'JSON',
    "resourceId": 'VARCHAR'
})
WHERE guid("appId") IS NOT NULL AND guid("keyId") IS NOT NULL
GROUP BY 1, 2
ORDER BY app_id, key_id
