-- grain: credential that was added (object that holds it x key x time)
-- source: access_times_history, access_changes_history, app_names_history, source_readings, stg_directory_audits
-- Told by two readings that differ or by the audit log, which also knows what was gone again before anybody read it.
WITH events AS (
    SELECT holder_id AS object_id, value AS key_id, effect, activity_at, audit_id
    FROM access_changes_history
    WHERE kind = 'credential'
),

spans AS (
    SELECT *, holder_id AS object_id, value AS key_id
    FROM access_times_history
    WHERE kind = 'credential'
),

added AS (
    SELECT
        object_id, key_id, credential_type, name, starts_at, ends_at,
        coalesce(begun_at, CASE WHEN valid_from > began_after THEN valid_from END, first_read_at) AS added_at,
        begun_at,
        missed_at IS NULL AS is_listed
    FROM spans
    -- what the first reading showed is where history starts; only the audit log can tell that it was new then
    WHERE began_after IS NOT NULL OR begun_at IS NOT NULL
    UNION ALL BY NAME
    SELECT e.object_id, e.key_id, max(e.activity_at) AS added_at, max(e.activity_at) AS begun_at
    FROM events AS e
    ANTI JOIN spans AS s ON s.object_id = e.object_id AND s.key_id = e.key_id
    WHERE e.effect = 'added'
    GROUP BY ALL
),

-- Since when each key is known to have been there: always, where nothing dates it.
known AS (
    SELECT n.app_id, k.key_id, min(coalesce(k.since, TIMESTAMP '1970-01-01')) AS since
    FROM (
        SELECT object_id, key_id, valid_from AS since FROM spans
        UNION ALL
        SELECT object_id, key_id, min(activity_at) FILTER (effect = 'added')
        FROM events AS e
        ANTI JOIN spans AS s ON s.object_id = e.object_id AND s.key_id = e.key_id
        GROUP BY ALL
    ) AS k
    INNER JOIN app_names_history AS n ON n.object_id = k.object_id
    GROUP BY ALL
),

named AS (
    SELECT
        a.*,
        n.service_principal_id,
        n.app_id,
        n.display_name,
        CASE n.object_kind WHEN 'app registration' THEN 'application' ELSE 'service_principal' END AS credential_origin
    FROM added AS a
    INNER JOIN app_names_history AS n ON n.object_id = a.object_id
),

earlier AS (
    SELECT a.object_id, a.key_id, a.added_at, count(*) AS earlier_count
    FROM named AS a
    INNER JOIN known AS k ON k.app_id = a.app_id AND k.key_id <> a.key_id AND k.since < a.added_at
    GROUP BY ALL
),

newest AS (
    SELECT CASE source WHEN 'applications' THEN 'application' ELSE 'service_principal' END AS credential_origin,
        max(read_at) AS read_at
    FROM source_readings
    WHERE source IN ('applications', 'service_principals')
    GROUP BY ALL
),

audits AS (
    SELECT object_id, key_id, activity_at, min(audit_id) AS audit_id
    FROM events
    WHERE effect = 'added'
    GROUP BY ALL
)

SELECT
    a.service_principal_id,
    a.app_id,
    a.display_name,
    a.object_id,
    a.credential_origin,
    a.key_id,
    a.credential_type,
    a.name,
    a.starts_at,
    a.ends_at,
    a.added_at,
    CASE WHEN a.begun_at IS NULL THEN 'snapshot' ELSE 'audit log' END AS added_source,
    -- a reading made after the event that does not list it says that it is gone; without one nobody knows
    coalesce(a.is_listed, CASE WHEN r.read_at > a.added_at THEN false END) AS is_present,
    coalesce(e.earlier_count, 0) AS earlier_count,
    d.actor_id,
    d.actor_name,
    d.actor_type,
    d.actor_app_id,
    d.actor_ip,
    d.audit_id
FROM named AS a
LEFT JOIN earlier AS e ON e.object_id = a.object_id AND e.key_id = a.key_id AND e.added_at = a.added_at
LEFT JOIN newest AS r ON r.credential_origin = a.credential_origin
LEFT JOIN audits AS u ON u.object_id = a.object_id AND u.key_id = a.key_id AND u.activity_at = a.begun_at
LEFT JOIN stg_directory_audits AS d ON d.audit_id = u.audit_id
ORDER BY a.added_at, a.object_id, a.key_id
