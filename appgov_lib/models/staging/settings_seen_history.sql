-- grain: consent setting of the tenant with one value, with the readings it had it in
-- source: Graph policies for consent, registration and app management of all complete snapshots, kept_settings_seen
WITH authorization_policies AS (
    SELECT
        'authorization_policy' AS source,
        snapshot_of(filename) AS snapshot_id,
        unnest([
            {'setting': 'permission grant policies by which users may consent', 'value': array_to_string(list_sort(
                coalesce(
                    texts_or_null("defaultUserRolePermissions" -> '$.permissionGrantPoliciesAssigned'),
                    texts_or_null("permissionGrantPolicyIdsAssignedToDefaultUserRole")
                )
            ), ', ')},
            {'setting': 'users may consent to risky apps', 'value': "allowUserConsentForRiskyApps"},
            {'setting': 'users may register apps', 'value': "defaultUserRolePermissions" ->> '$.allowedToCreateApps'},
            {'setting': 'who may invite guests', 'value': "allowInvitesFrom"},
            {'setting': 'role of guests', 'value': "guestUserRoleId"}
        ], max_depth := 2)
    FROM read_json($authorization_policy_history,
        format = 'newline_delimited', records = true, ignore_errors = true, filename = true, columns = {
        id: 'VARCHAR',
        "allowInvitesFrom": 'VARCHAR',
        "guestUserRoleId": 'VARCHAR',
        "allowUserConsentForRiskyApps": 'VARCHAR',
        "defaultUserRolePermissions": 'JSON',
        "permissionGrantPolicyIdsAssignedToDefaultUserRole": 'JSON'
    })
    WHERE filled(id) IS NOT NULL
),

requests AS (
    SELECT
        'admin_consent_request_policy' AS source,
        snapshot_of(filename) AS snapshot_id,
        unnest([
            {'setting': 'users can ask an administrator for an app', 'value': "isEnabled"},
            {'setting': 'reviewers of requests for apps', 'value': array_to_string(list_sort(list_filter(
                list_transform(items(reviewers), lambda r: filled(json_extract_string(r, '$.query'))),
                lambda r: r IS NOT NULL
            )), ', ')}
        ], max_depth := 2)
    FROM read_json($admin_consent_request_policy_history,
        format = 'newline_delimited', records = true, ignore_errors = true, filename = true, columns = {
        "isEnabled": 'VARCHAR',
        reviewers: 'JSON'
    })
    WHERE TRY_CAST("isEnabled" AS BOOLEAN) IS NOT NULL
),

grant_policies AS (
    SELECT
        'permission_grant_policies' AS source,
        snapshot_of(filename) AS snapshot_id,
        unnest([
            {'setting': 'permission grant policy ' || id || ', allows',
                'value': array_to_string(list_sort(CAST(items(includes) AS VARCHAR[])), ', ')},
            {'setting': 'permission grant policy ' || id || ', forbids',
                'value': array_to_string(list_sort(CAST(items(excludes) AS VARCHAR[])), ', ')}
        ], max_depth := 2)
    FROM read_json($permission_grant_policies_history,
        format = 'newline_delimited', records = true, ignore_errors = true, filename = true, columns = {
        id: 'VARCHAR',
        includes: 'JSON',
        excludes: 'JSON'
    })
    WHERE filled(id) IS NOT NULL
),

app_management AS (
    SELECT
        'default_app_management_policy' AS source,
        snapshot_of(filename) AS snapshot_id,
        unnest([
            {'setting': 'rules for secrets and certificates are on', 'value': "isEnabled"},
            {'setting': 'rules for secrets and certificates of registrations',
                'value': CAST("applicationRestrictions" AS VARCHAR)},
            {'setting': 'rules for secrets and certificates of service principals',
                'value': CAST("servicePrincipalRestrictions" AS VARCHAR)}
        ], max_depth := 2)
    FROM read_json($default_app_management_policy_history,
        format = 'newline_delimited', records = true, ignore_errors = true, filename = true, columns = {
        id: 'VARCHAR',
        "isEnabled": 'VARCHAR',
        "applicationRestrictions": 'JSON',
        "servicePrincipalRestrictions": 'JSON'
    })
    WHERE filled(id) IS NOT NULL
),

seen AS (
    FROM authorization_policies
    UNION ALL BY NAME FROM requests
    UNION ALL BY NAME FROM grant_policies
    UNION ALL BY NAME FROM app_management
    UNION ALL BY NAME
    SELECT * EXCLUDE (snapshots), unnest(snapshots) AS snapshot_id FROM kept_settings_seen
)

SELECT s.source, s.setting, s.value, list_sort(list_distinct(list(r.reading))) AS readings
FROM seen AS s
INNER JOIN source_readings AS r ON r.source = s.source AND r.snapshot_id = s.snapshot_id
GROUP BY s.source, s.setting, s.value
