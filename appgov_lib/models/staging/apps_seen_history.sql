-- grain: service principal or app registration in one form (a renamed one has several), with the readings it was seen in
-- source: Graph /servicePrincipals and /applications of all complete snapshots, kept_apps_seen
-- Grouped before anything is taken apart: from week to week nearly every app is the same, byte for byte.
WITH principals AS (
    SELECT
        'service_principals' AS source,
        snapshot_of(filename) AS snapshot_id,
        id,
        "appId",
        "displayName",
        "accountEnabled",
        "isDisabled",
        "disabledByMicrosoftStatus",
        "publisherName",
        "verifiedPublisher" ->> '$.displayName' AS verified_publisher,
        "signInAudience",
        "appRoleAssignmentRequired",
        "replyUrls" AS addresses,
        CAST(NULL AS JSON) AS more_addresses,
        CAST(NULL AS JSON) AS yet_more_addresses
    FROM read_json($service_principals_history,
        format = 'newline_delimited', records = true, ignore_errors = true, filename = true, columns = {
        id: 'VARCHAR',
        "appId": 'VARCHAR',
        "displayName": 'VARCHAR',
        "accountEnabled": 'VARCHAR',
        "isDisabled": 'VARCHAR',
        "disabledByMicrosoftStatus": 'VARCHAR',
        "publisherName": 'VARCHAR',
        "verifiedPublisher": 'JSON',
        "signInAudience": 'VARCHAR',
        "appRoleAssignmentRequired": 'VARCHAR',
        "replyUrls": 'JSON'
    })
),

registrations AS (
    SELECT
        'applications' AS source,
        snapshot_of(filename) AS snapshot_id,
        id,
        "appId",
        "displayName",
        CAST(NULL AS VARCHAR) AS "accountEnabled",
        "isDisabled",
        CAST(NULL AS VARCHAR) AS "disabledByMicrosoftStatus",
        CAST(NULL AS VARCHAR) AS "publisherName",
        "verifiedPublisher" ->> '$.displayName' AS verified_publisher,
        "signInAudience",
        CAST(NULL AS VARCHAR) AS "appRoleAssignmentRequired",
        web -> '$.redirectUris' AS addresses,
        spa -> '$.redirectUris' AS more_addresses,
        "publicClient" -> '$.redirectUris' AS yet_more_addresses
    FROM read_json($applications_history,
        format = 'newline_delimited', records = true, ignore_errors = true, filename = true, columns = {
        id: 'VARCHAR',
        "appId": 'VARCHAR',
        "displayName": 'VARCHAR',
        "isDisabled": 'VARCHAR',
        "verifiedPublisher": 'JSON',
        "signInAudience": 'VARCHAR',
        web: 'JSON',
        spa: 'JSON',
        "publicClient": 'JSON'
    })
),

raw AS (
    SELECT s.* EXCLUDE (snapshot_id), list(r.reading) AS readings
    FROM (SELECT * FROM principals UNION ALL SELECT * FROM registrations) AS s
    INNER JOIN source_readings AS r ON r.source = s.source AND r.snapshot_id = s.snapshot_id
    GROUP BY ALL
),

kept AS (
    SELECT k.* EXCLUDE (snapshot_id), list(r.reading) AS readings
    FROM (SELECT * EXCLUDE (snapshots), unnest(snapshots) AS snapshot_id FROM kept_apps_seen) AS k
    INNER JOIN source_readings AS r ON r.source = k.source AND r.snapshot_id = k.snapshot_id
    GROUP BY ALL
),

forms AS (
    SELECT
        source,
        guid(id) AS object_id,
        guid("appId") AS app_id,
        filled("displayName") AS display_name,
        TRY_CAST("accountEnabled" AS BOOLEAN) AS account_enabled,
        TRY_CAST("isDisabled" AS BOOLEAN) AS is_disabled,
        filled("disabledByMicrosoftStatus") AS disabled_by_microsoft_status,
        filled("publisherName") AS publisher_name,
        filled(verified_publisher) AS verified_publisher,
        filled("signInAudience") AS sign_in_audience,
        TRY_CAST("appRoleAssignmentRequired" AS BOOLEAN) AS assignment_required,
        -- in whatever order they come
        list_sort(list_distinct(texts(addresses) || texts(more_addresses) || texts(yet_more_addresses))) AS reply_urls,
        readings
    FROM raw
    UNION ALL BY NAME
    SELECT * FROM kept
)

SELECT * EXCLUDE (readings), list_sort(list_distinct(flatten(list(readings)))) AS readings
FROM forms
WHERE object_id IS NOT NULL
GROUP BY ALL
