-- grain: service principal, or app registration without one
-- source: app_inventory, stg_applications, app_credentials, stg_service_principals
-- What the checks look at, and which of them apply: is_own is what this tenant registers and can mend itself.
WITH objects AS (
    SELECT
        i.service_principal_id AS object_id,
        i.service_principal_id,
        i.app_id,
        i.application_id,
        i.display_name,
        i.service_principal_type,
        i.is_first_party,
        i.is_in_scope,
        -- its registration may not have been read
        i.application_id IS NOT NULL OR (i.app_origin = 'internal' AND i.service_principal_type = 'Application')
            AS is_own,
        i.created_at,
        i.sign_in_audience,
        i.reply_urls
    FROM app_inventory AS i
    UNION ALL BY NAME
    SELECT
        a.application_id AS object_id,
        a.app_id,
        a.application_id,
        a.display_name,
        true AS is_in_scope,
        true AS is_own,
        a.created_at,
        a.sign_in_audience,
        CAST([] AS VARCHAR[]) AS reply_urls
    FROM stg_applications AS a
    ANTI JOIN stg_service_principals AS s ON s.app_id = a.app_id
),

holders AS (
    SELECT DISTINCT coalesce(service_principal_id, object_id) AS object_id
    FROM app_credentials
)

SELECT
    o.object_id,
    o.service_principal_id,
    o.app_id,
    o.application_id,
    o.display_name,
    o.service_principal_type,
    o.created_at,
    coalesce(o.sign_in_audience, a.sign_in_audience) AS sign_in_audience,
    list_sort(list_distinct(coalesce(o.reply_urls, []) || coalesce(a.reply_urls, []))) AS reply_urls,
    a.allows_public_client,
    a.implicit_access_tokens,
    a.implicit_id_tokens,
    a.property_lock,
    o.is_in_scope,
    o.is_own,
    -- the kinds of app that a check may be for
    list_filter([
        CASE WHEN o.is_first_party IS NOT TRUE AND o.service_principal_id IS NOT NULL THEN 'directory' END,
        CASE WHEN o.is_first_party THEN 'microsoft' END,
        CASE WHEN o.is_in_scope THEN 'apps' END,
        CASE WHEN o.is_in_scope AND o.is_own THEN 'own' END,
        -- what an app of another tenant holds at home is not seen: only its credentials here are judged
        CASE WHEN o.is_in_scope AND (o.is_own OR h.object_id IS NOT NULL) THEN 'holders' END
    ], lambda k: k IS NOT NULL) AS kinds
FROM objects AS o
LEFT JOIN stg_applications AS a ON a.application_id = o.application_id
LEFT JOIN holders AS h ON h.object_id = o.object_id
ORDER BY o.object_id
