-- grain: service principal or app registration as received, byte for byte, with the readings it was seen in
-- source: Graph /servicePrincipals and /applications of all complete snapshots
-- Read and grouped once for apps_seen_history and credentials_seen_history, before anything is taken apart: from week to
-- week nearly every app is the same.
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
        CAST(NULL AS JSON) AS yet_more_addresses,
        "passwordCredentials",
        "keyCredentials"
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
        "replyUrls": 'JSON',
        "passwordCredentials": 'JSON',
        "keyCredentials": 'JSON'
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
        "publicClient" -> '$.redirectUris' AS yet_more_addresses,
        "passwordCredentials",
        "keyCredentials"
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
        "publicClient": 'JSON',
        "passwordCredentials": 'JSON',
        "keyCredentials": 'JSON'
    })
)

SELECT s.* EXCLUDE (snapshot_id), list(r.reading) AS readings
FROM (SELECT * FROM principals UNION ALL SELECT * FROM registrations) AS s
INNER JOIN source_readings AS r ON r.source = s.source AND r.snapshot_id = s.snapshot_id
GROUP BY ALL
