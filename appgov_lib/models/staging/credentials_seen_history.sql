-- grain: credential in one form (a renamed one has several), with the readings it was seen in
-- source: Graph /applications, /servicePrincipals and federated credentials of all complete snapshots
WITH objects AS (
    SELECT
        'applications' AS source, 'application' AS credential_origin, snapshot_of(filename) AS snapshot_id,
        id, "appId", "passwordCredentials", "keyCredentials"
    FROM read_json($applications_history,
        format = 'newline_delimited', records = true, ignore_errors = true, filename = true, columns = {
        id: 'VARCHAR',
        "appId": 'VARCHAR',
        "passwordCredentials": 'JSON',
        "keyCredentials": 'JSON'
    })
    UNION ALL
    SELECT
        'service_principals', 'service_principal', snapshot_of(filename),
        id, "appId", "passwordCredentials", "keyCredentials"
    FROM read_json($service_principals_history,
        format = 'newline_delimited', records = true, ignore_errors = true, filename = true, columns = {
        id: 'VARCHAR',
        "appId": 'VARCHAR',
        "passwordCredentials": 'JSON',
        "keyCredentials": 'JSON'
    })
),

listed AS (
    SELECT * EXCLUDE ("passwordCredentials", "keyCredentials"), 'secret' AS kind,
        unnest(items("passwordCredentials")) AS credential
    FROM objects
    UNION ALL
    SELECT * EXCLUDE ("passwordCredentials", "keyCredentials"), 'key' AS kind,
        unnest(items("keyCredentials")) AS credential
    FROM objects
    UNION ALL
    -- one record per application and credential, around the object as received
    SELECT 'federated_credentials', 'application', snapshot_of(filename), parent_id, NULL, 'federated', record
    FROM read_json($federated_credentials_history,
        format = 'newline_delimited', records = true, ignore_errors = true, filename = true, columns = {
        parent_id: 'VARCHAR',
        record: 'JSON'
    })
),

raw AS (
    SELECT
        l.source,
        l.credential_origin,
        guid(l.id) AS object_id,
        guid(l."appId") AS app_id,
        guid(CASE l.kind WHEN 'federated' THEN l.credential ->> '$.id' ELSE l.credential ->> '$.keyId' END) AS key_id,
        CASE
            WHEN l.kind <> 'key' THEN l.kind
            WHEN l.credential ->> '$.type' = 'Symmetric' THEN 'secret'
            ELSE 'certificate'
        END AS credential_type,
        filled(CASE l.kind WHEN 'federated' THEN l.credential ->> '$.name' ELSE l.credential ->> '$.displayName' END)
            AS name,
        to_utc(l.credential ->> '$.startDateTime') AS starts_at,
        to_utc(l.credential ->> '$.endDateTime') AS ends_at,
        list(r.reading) AS readings
    FROM listed AS l
    INNER JOIN source_readings AS r ON r.source = l.source AND r.snapshot_id = l.snapshot_id
    GROUP BY ALL
),

kept AS (
    SELECT k.* EXCLUDE (snapshot_id), list(r.reading) AS readings
    FROM (SELECT * EXCLUDE (snapshots), unnest(snapshots) AS snapshot_id FROM kept_credentials_seen) AS k
    INNER JOIN source_readings AS r ON r.source = k.source AND r.snapshot_id = k.snapshot_id
    GROUP BY ALL
)

SELECT * EXCLUDE (readings), list_sort(list_distinct(flatten(list(readings)))) AS readings
FROM (SELECT * FROM raw UNION ALL BY NAME SELECT * FROM kept)
WHERE object_id IS NOT NULL AND key_id IS NOT NULL
GROUP BY ALL
