-- grain: unbroken run of readings in which one thing was seen (permission of a grant, credential, owner, role)
-- source: grants_seen_history, credentials_seen_history, members_seen_history, source_readings
WITH scoped AS (
    SELECT * EXCLUDE (scope), unnest(list_distinct(list_filter(
        string_split_regex(trim(coalesce(scope, '')), '\s+'), lambda s: s <> ''
    ))) AS permission
    FROM grants_seen_history
    WHERE source = 'delegated_grants'
    UNION ALL BY NAME
    -- the resource may be gone or unread: then the id is all there is
    SELECT g.* EXCLUDE (scope), coalesce(d.permission, g.app_role_id) AS permission
    FROM grants_seen_history AS g
    LEFT JOIN permission_definitions AS d
        ON d.resource_id = g.resource_id AND d.permission_id = g.app_role_id AND d.permission_type = 'application'
    WHERE g.source = 'app_role_assignments'
),

-- Everything in one form: holder_id is the app (or the role's holder), value what it holds, object_key its id.
forms AS MATERIALIZED (
    SELECT
        source,
        CASE source WHEN 'delegated_grants' THEN 'delegated' ELSE 'application' END AS kind,
        grant_id AS object_key,
        permission AS value,
        service_principal_id AS holder_id,
        resource_id AS related_id,
        consent_type,
        principal_id,
        app_role_id,
        created_at AS dated_at,
        readings
    FROM scoped
    UNION ALL BY NAME
    SELECT source, 'credential' AS kind, object_id || ' ' || key_id AS object_key, key_id AS value,
        object_id AS holder_id, starts_at AS dated_at, app_id, credential_origin, credential_type, name, starts_at,
        ends_at, readings
    FROM credentials_seen_history
    UNION ALL BY NAME
    SELECT source, 'owner' AS kind, object_id || ' ' || member_id AS object_key, member_id AS value,
        object_id AS holder_id, member_id AS related_id, member_type, member_name AS name, readings
    FROM members_seen_history
    WHERE source <> 'directory_role_assignments'
    UNION ALL BY NAME
    SELECT source, 'role' AS kind, assignment_id AS object_key, object_id AS value, member_id AS holder_id,
        object_id AS related_id, scope, readings
    FROM members_seen_history
    WHERE source = 'directory_role_assignments'
),

-- What changed its form meanwhile (a new name, another scope beside it) is the same thing; its latest form counts.
-- Nearly nothing does, and picking the latest of one is dear, so what has one form only goes past. Counting hashes is
-- cheap; two things that share a hash by chance are grouped, each by itself, which changes neither.
changed AS (
    SELECT hash(kind, object_key, value) AS mark FROM forms GROUP BY mark HAVING count(*) > 1
),

things AS (
    SELECT * FROM forms WHERE hash(kind, object_key, value) NOT IN (SELECT mark FROM changed)
    UNION ALL BY NAME
    SELECT
        kind, object_key, value,
        arg_max_null(COLUMNS(* EXCLUDE (kind, object_key, value, readings)),
            (readings[-1], readings[1], name, ends_at, principal_id)),
        list_sort(list_distinct(flatten(list(readings)))) AS readings
    FROM forms
    WHERE hash(kind, object_key, value) IN (SELECT mark FROM changed)
    GROUP BY kind, object_key, value
),

spans AS (
    SELECT * EXCLUDE (readings), unnest(runs(readings)) AS run FROM things
)

SELECT
    s.* EXCLUDE (run),
    s.run.first AS first_reading,
    f.snapshot_id AS first_snapshot,
    l.snapshot_id AS last_snapshot,
    f.read_at AS first_read_at,
    f.previous_read_at AS began_after,
    f.latest_at AS began_before,
    -- NULL: still there in the newest complete reading
    l.read_at AS ended_after,
    n.read_at AS missed_at,
    n.latest_at AS ended_before
FROM spans AS s
INNER JOIN source_readings AS f ON f.source = s.source AND f.reading = s.run.first
INNER JOIN source_readings AS l ON l.source = s.source AND l.reading = s.run.last
LEFT JOIN source_readings AS n ON n.source = s.source AND n.reading = s.run.last + 1
