-- grain: app registration of this tenant
-- source: Graph /applications
SELECT
    guid(id) AS application_id,
    guid("appId") AS app_id,
    filled("displayName") AS display_name,
    to_utc("createdDateTime") AS created_at,
    filled("signInAudience") AS sign_in_audience,
    filled("publisherDomain") AS publisher_domain,
    filled("verifiedPublisher" ->> '$.displayName') AS verified_publisher_name,
    certification,
    "requiredResourceAccess" AS required_resource_access,
    -- the three platforms keep their addresses apart; an address is a way in wherever it stands
    list_sort(list_distinct(
        texts(web -> '$.redirectUris') || texts(spa -> '$.redirectUris') || texts("publicClient" -> '$.redirectUris')
    )) AS reply_urls,
    texts(web -> '$.redirectUris') AS web_reply_urls,
    texts(spa -> '$.redirectUris') AS spa_reply_urls,
    texts("publicClient" -> '$.redirectUris') AS public_reply_urls,
    "keyCredentials" AS key_credentials,
    "passwordCredentials" AS password_credentials,
    TRY_CAST("isDisabled" AS BOOLEAN) AS is_disabled,
    texts(tags) AS tags,
    filled(notes) AS notes,
    TRY_CAST("isFallbackPublicClient" AS BOOLEAN) AS allows_public_client,
    TRY_CAST(web ->> '$.implicitGrantSettings.enableAccessTokenIssuance' AS BOOLEAN) AS implicit_access_tokens,
    TRY_CAST(web ->> '$.implicitGrantSettings.enableIdTokenIssuance' AS BOOLEAN) AS implicit_id_tokens,
    "servicePrincipalLockConfiguration" AS property_lock
FROM read_json($applications,
    format = 'newline_delimited', records = true, ignore_errors = true, columns = {
    id: 'VARCHAR',
    "appId": 'VARCHAR',
    "displayName": 'VARCHAR',
    "createdDateTime": 'VARCHAR',
    "signInAudience": 'VARCHAR',
    "publisherDomain": 'VARCHAR',
    "verifiedPublisher": 'JSON',
    certification: 'JSON',
    "requiredResourceAccess": 'JSON',
    web: 'JSON',
    spa: 'JSON',
    "publicClient": 'JSON',
    "keyCredentials": 'JSON',
    "passwordCredentials": 'JSON',
    "isDisabled": 'VARCHAR',
    tags: 'JSON',
    notes: 'VARCHAR',
    "isFallbackPublicClient": 'VARCHAR',
    "servicePrincipalLockConfiguration": 'JSON'
})
WHERE guid(id) IS NOT NULL
QUALIFY row_number() OVER (
    PARTITION BY guid(id)
    ORDER BY "appId" IS NULL, "displayName" IS NULL, "displayName", "createdDateTime"
) = 1
ORDER BY application_id
