-- grain: app that users asked an administrator to approve
-- source: Graph /identityGovernance/appConsent/appConsentRequests
SELECT
    guid(id) AS consent_request_id,
    guid("appId") AS app_id,
    filled("appDisplayName") AS display_name,
    filled("consentType") AS consent_type,
    list_sort(list_distinct(list_filter(
        list_transform(items("pendingScopes"), lambda s: filled(json_extract_string(s, '$.displayName'))),
        lambda s: s IS NOT NULL
    ))) AS pending_scopes
FROM read_json($app_consent_requests,
    format = 'newline_delimited', records = true, ignore_errors = true, columns = {
    id: 'VARCHAR',
    "appId": 'VARCHAR',
    "appDisplayName": 'VARCHAR',
    "consentType": 'VARCHAR',
    "pendingScopes": 'JSON'
})
WHERE guid(id) IS NOT NULL
QUALIFY row_number() OVER (
    PARTITION BY guid(id)
    ORDER BY app_id IS NULL, app_id, display_name, len(pending_scopes) DESC, CAST("pendingScopes" AS VARCHAR)
) = 1
ORDER BY consent_request_id
