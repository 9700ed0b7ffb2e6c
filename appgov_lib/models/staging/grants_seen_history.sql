-- grain: grant in one form (a grant whose scopes changed has several), with the readings it was seen in
-- source: Graph /oauth2PermissionGrants and appRoleAssignedTo of all complete snapshots, kept_grants_seen
-- Grouped before anything is taken apart: from week to week nearly every grant is the same, byte for byte.
WITH delegated AS (
    SELECT
        'delegated_grants' AS source,
        snapshot_of(filename) AS snapshot_id,
        id AS grant_id,
        "clientId" AS service_principal_id,
        "resourceId" AS resource_id,
        "consentType" AS consent_type,
        "principalId" AS principal_id,
        CAST(NULL AS VARCHAR) AS app_role_id,
        scope,
        CAST(NULL AS VARCHAR) AS created_at
    FROM read_json($delegated_grants_history,
        format = 'newline_delimited', records = true, ignore_errors = true, filename = true, columns = {
        id: 'VARCHAR',
        "clientId": 'VARCHAR',
        "resourceId": 'VARCHAR',
        "consentType": 'VARCHAR',
        "principalId": 'VARCHAR',
        scope: 'VARCHAR'
    })
),

-- Assignments of users and groups say who may use an app, not what the app may do.
application AS (
    SELECT
        'app_role_assignments' AS source,
        snapshot_of(filename) AS snapshot_id,
        id AS grant_id,
        "principalId" AS service_principal_id,
        "resourceId" AS resource_id,
        CAST(NULL AS VARCHAR) AS consent_type,
        CAST(NULL AS VARCHAR) AS principal_id,
        "appRoleId" AS app_role_id,
        CAST(NULL AS VARCHAR) AS scope,
        coalesce("createdDateTime", "creationTimestamp") AS created_at
    FROM read_json($app_role_assignments_history,
        format = 'newline_delimited', records = true, ignore_errors = true, filename = true, columns = {
        id: 'VARCHAR',
        "principalId": 'VARCHAR',
        "principalType": 'VARCHAR',
        "resourceId": 'VARCHAR',
        "appRoleId": 'VARCHAR',
        "createdDateTime": 'VARCHAR',
        "creationTimestamp": 'VARCHAR'
    })
    WHERE coalesce("principalType", 'ServicePrincipal') = 'ServicePrincipal' AND guid("appRoleId") IS NOT NULL
),

raw AS (
    SELECT s.* EXCLUDE (snapshot_id), list(r.reading) AS readings
    FROM (SELECT * FROM delegated UNION ALL SELECT * FROM application) AS s
    INNER JOIN source_readings AS r ON r.source = s.source AND r.snapshot_id = s.snapshot_id
    WHERE filled(s.grant_id) IS NOT NULL
    GROUP BY ALL
),

kept AS (
    SELECT k.* EXCLUDE (snapshot_id), list(r.reading) AS readings
    FROM (SELECT * EXCLUDE (snapshots), unnest(snapshots) AS snapshot_id FROM kept_grants_seen) AS k
    INNER JOIN source_readings AS r ON r.source = k.source AND r.snapshot_id = k.snapshot_id
    GROUP BY ALL
),

forms AS (
    SELECT
        source,
        grant_id,
        guid(service_principal_id) AS service_principal_id,
        guid(resource_id) AS resource_id,
        filled(consent_type) AS consent_type,
        guid(principal_id) AS principal_id,
        guid(app_role_id) AS app_role_id,
        scope,
        to_utc(created_at) AS created_at,
        readings
    FROM raw
    UNION ALL BY NAME
    SELECT * FROM kept
)

SELECT * EXCLUDE (readings), list_sort(list_distinct(flatten(list(readings)))) AS readings
FROM forms
GROUP BY ALL
