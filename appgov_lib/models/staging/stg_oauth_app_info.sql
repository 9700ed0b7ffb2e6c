-- grain: app as app governance knows it
-- source: advanced hunting, table OAuthAppInfo; the latest row of each app in 30 days
WITH seen AS (
    SELECT
        *,
        to_utc("Timestamp") AS observed_at,
        -- a list on the wire, the text of a list in an export
        TRY_CAST("Permissions" AS JSON) AS permission_list,
        TRY_CAST("VerifiedPublisher" AS JSON) AS publisher
    FROM read_json($oauth_app_info,
        format = 'newline_delimited', records = true, ignore_errors = true, columns = {
        "Timestamp": 'VARCHAR',
        "ReportId": 'VARCHAR',
        "OAuthAppId": 'VARCHAR',
        "ServicePrincipalId": 'VARCHAR',
        "AppName": 'VARCHAR',
        "AddedOnTime": 'VARCHAR',
        "LastModifiedTime": 'VARCHAR',
        "AppStatus": 'VARCHAR',
        "VerifiedPublisher": 'VARCHAR',
        "PrivilegeLevel": 'VARCHAR',
        "Permissions": 'VARCHAR',
        "ConsentedUsersCount": 'VARCHAR',
        "IsAdminConsented": 'VARCHAR',
        "AppOrigin": 'VARCHAR',
        "LastUsedTime": 'VARCHAR',
        "AppOwnerTenantId": 'VARCHAR',
        "RiskScore": 'VARCHAR',
        "AssignedRoles": 'VARCHAR'
    })
    WHERE guid(hunted("OAuthAppId")) IS NOT NULL
    QUALIFY row_number() OVER (
        PARTITION BY guid("OAuthAppId")
        ORDER BY observed_at DESC NULLS LAST, "ReportId", "AppName", "Permissions"
    ) = 1
),

-- Each permission is an object written as text inside the list; documentation and wire name its keys differently.
described AS (
    SELECT
        *,
        list_transform(
            items(permission_list),
            lambda p: CASE WHEN json_type(p) = 'VARCHAR' THEN TRY_CAST(json_extract_string(p, '$') AS JSON) ELSE p END
        ) AS permission_objects
    FROM seen
),

-- Taken apart at once: each word asked for by itself would read the object again.
parted AS (
    SELECT
        *,
        list_transform(
            list_filter(permission_objects, lambda p: json_type(p) = 'OBJECT'),
            lambda p: json_transform(p, '{"PermissionValue": "VARCHAR", "PermissionName": "VARCHAR",
                "PermissionType": "VARCHAR", "PrivilegeLevel": "VARCHAR", "InUse": "VARCHAR", "TargetAppId": "VARCHAR",
                "TargetAppDisplayName": "VARCHAR"}')
        ) AS permission_parts
    FROM described
)

SELECT
    guid("OAuthAppId") AS app_id,
    guid(hunted("ServicePrincipalId")) AS service_principal_id,
    hunted("AppName") AS display_name,
    hunted("AppStatus") AS app_status,
    hunted("AppOrigin") AS app_origin,
    guid(hunted("AppOwnerTenantId")) AS app_owner_tenant_id,
    hunted("PrivilegeLevel") AS privilege_level,
    TRY_CAST("RiskScore" AS INTEGER) AS risk_score,
    -- 0 and 1 on the wire, a word in an export
    coalesce(TRY_CAST("IsAdminConsented" AS BOOLEAN), TRY_CAST("IsAdminConsented" AS DOUBLE) <> 0)
        AS is_admin_consented,
    TRY_CAST("ConsentedUsersCount" AS BIGINT) AS consented_users,
    filled(publisher ->> '$.verifiedPublisherId') AS verified_publisher_id,
    filled(publisher ->> '$.displayName') AS verified_publisher_name,
    to_utc("AddedOnTime") AS added_at,
    to_utc("LastModifiedTime") AS last_modified_at,
    to_utc("LastUsedTime") AS last_used_at,
    to_json(list_transform(
        permission_parts,
        lambda p: {
            'permission': coalesce(p."PermissionValue", p."PermissionName"),
            'permission_type': p."PermissionType",
            'privilege_level': p."PrivilegeLevel",
            'in_use': TRY_CAST(p."InUse" AS BOOLEAN),
            'resource_app_id': guid(p."TargetAppId"),
            'resource_name': p."TargetAppDisplayName"
        }
    )) AS permissions,
    TRY_CAST(hunted("AssignedRoles") AS JSON) AS assigned_roles,
    observed_at
FROM parted
ORDER BY app_id
