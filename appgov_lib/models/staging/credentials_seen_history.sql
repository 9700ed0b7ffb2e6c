-- grain: credential in one form (a renamed one has several), with the readings it was seen in
-- source: objects_seen_history, Graph federated credentials of all complete snapshots, kept_credentials_seen
WITH listed AS (
    SELECT source, id, "appId", readings, 'secret' AS kind, unnest(items("passwordCredentials")) AS credential
    FROM objects_seen_history
    UNION ALL
    SELECT source, id, "appId", readings, 'key' AS kind, unnest(items("keyCredentials")) AS credential
    FROM objects_seen_history
    UNION ALL
    -- one record per application and credential, around the object as received
    SELECT 'federated_credentials', f.parent_id, NULL, [r.reading], 'federated', f.record
    FROM read_json($federated_credentials_history,
        format = 'newline_delimited', records = true, ignore_errors = true, filename = true, columns = {
        parent_id: 'VARCHAR',
        record: 'JSON'
    }) AS f
    INNER JOIN source_readings AS r
        ON r.source = 'federated_credentials' AND r.snapshot_id = snapshot_of(f.filename)
),

raw AS (
    SELECT
        l.source,
        CASE l.source WHEN 'service_principals' THEN 'service_principal' ELSE 'application' END AS credential_origin,
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
        l.readings
    FROM listed AS l
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
