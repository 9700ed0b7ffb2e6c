-- grain: service principal
-- source: Graph /servicePrincipals
WITH principals AS MATERIALIZED (
    SELECT
        guid(id) AS service_principal_id,
        guid("appId") AS app_id,
        filled("displayName") AS display_name,
        guid("appOwnerOrganizationId") AS app_owner_tenant_id,
        TRY_CAST("accountEnabled" AS BOOLEAN) AS account_enabled,
        TRY_CAST("isDisabled" AS BOOLEAN) AS is_disabled,
        filled("disabledByMicrosoftStatus") AS disabled_by_microsoft_status,
        filled("servicePrincipalType") AS service_principal_type,
        to_utc("createdDateTime") AS created_at,
        filled("signInAudience") AS sign_in_audience,
        filled("publisherName") AS publisher_name,
        -- verifiedPublisher is an object of nulls where nobody is verified
        filled("verifiedPublisher" ->> '$.verifiedPublisherId') AS verified_publisher_id,
        filled("verifiedPublisher" ->> '$.displayName') AS verified_publisher_name,
        to_utc("verifiedPublisher" ->> '$.addedDateTime') AS verified_publisher_added_at,
        filled(homepage) AS homepage,
        texts("replyUrls") AS reply_urls,
        texts("servicePrincipalNames") AS service_principal_names,
        texts(tags) AS tags,
        TRY_CAST("appRoleAssignmentRequired" AS BOOLEAN) AS assignment_required,
        "appRoles" AS app_roles,
        -- beta calls the same list publishedPermissionScopes
        coalesce("oauth2PermissionScopes", "publishedPermissionScopes") AS published_scopes,
        "keyCredentials" AS key_credentials,
        "passwordCredentials" AS password_credentials,
        filled("@odata.type") AS odata_type,
        filled(notes) AS notes,
        filled("preferredSingleSignOnMode") AS single_sign_on_mode
    FROM read_json($service_principals,
        format = 'newline_delimited', records = true, ignore_errors = true, columns = {
        id: 'VARCHAR',
        "appId": 'VARCHAR',
        "displayName": 'VARCHAR',
        "appOwnerOrganizationId": 'VARCHAR',
        "accountEnabled": 'VARCHAR',
        "isDisabled": 'VARCHAR',
        "disabledByMicrosoftStatus": 'VARCHAR',
        "servicePrincipalType": 'VARCHAR',
        "createdDateTime": 'VARCHAR',
        "signInAudience": 'VARCHAR',
        "publisherName": 'VARCHAR',
        "verifiedPublisher": 'JSON',
        homepage: 'VARCHAR',
        "replyUrls": 'JSON',
        "servicePrincipalNames": 'JSON',
        tags: 'JSON',
        "appRoleAssignmentRequired": 'VARCHAR',
        "appRoles": 'JSON',
        "oauth2PermissionScopes": 'JSON',
        "publishedPermissionScopes": 'JSON',
        "keyCredentials": 'JSON',
        "passwordCredentials": 'JSON',
        "@odata.type": 'VARCHAR',
        notes: 'VARCHAR',
        "preferredSingleSignOnMode": 'VARCHAR'
    })
    WHERE guid(id) IS NOT NULL
),

-- Paging repeats a row when the list changes underneath: the fuller copy stays. Hardly any was repeated, and ranking
-- such wide rows is dear, so only ids whose hash occurs again are ranked.
repeated AS (
    SELECT hash(service_principal_id) AS mark FROM principals GROUP BY mark HAVING count(*) > 1
)

SELECT *
FROM principals
WHERE hash(service_principal_id) NOT IN (SELECT mark FROM repeated)
UNION ALL
SELECT *
FROM principals
WHERE hash(service_principal_id) IN (SELECT mark FROM repeated)
QUALIFY row_number() OVER (
    PARTITION BY service_principal_id
    ORDER BY app_id IS NULL, display_name IS NULL, display_name, created_at
) = 1
ORDER BY service_principal_id
