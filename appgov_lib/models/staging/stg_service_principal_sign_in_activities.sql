-- grain: app
-- source: Graph beta /reports/servicePrincipalSignInActivities
SELECT
    guid("appId") AS app_id,
    max(to_utc("lastSignInActivity" ->> '$.lastSignInDateTime')) AS last_sign_in_at,
    max(to_utc("delegatedClientSignInActivity" ->> '$.lastSignInDateTime')) AS delegated_client_at,
    max(to_utc("delegatedResourceSignInActivity" ->> '$.lastSignInDateTime')) AS delegated_resource_at,
    max(to_utc("applicationAuthenticationClientSignInActivity" ->> '$.lastSignInDateTime')) AS application_client_at,
    max(to_utc("applicationAuthenticationResourceSignInActivity" ->> '$.lastSignInDateTime'))
        AS application_resource_at
FROM read_json($service_principal_sign_in_activities,
    format = 'newline_delimited', records = true, ignore_errors = true, columns = {
    "appId": 'VARCHAR',
    "lastSignInActivity": 'JSON',
    "delegatedClientSignInActivity": 'JSON',
    "delegatedResourceSignInActivity": 'JSON',
    "applicationAuthenticationClientSignInActivity": 'JSON',
    "applicationAuthenticationResourceSignInActivity": 'JSON'
})
WHERE guid("appId") IS NOT NULL
GROUP BY 1
ORDER BY app_id
