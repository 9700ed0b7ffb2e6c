-- grain: app, property or reply URL that came, went or became another, with the audit event that tells of it
-- source: app_steps_history, app_names_history, source_readings, audit_targets_history
WITH steps AS (
    SELECT
        s.*,
        coalesce(n.service_principal_id, s.object_id) AS app_key,
        n.object_kind,
        -- of the first reading nobody knows what was before
        CASE WHEN NOT s.is_start THEN r.previous_read_at END AS seen_from,
        r.read_at AS seen_at,
        r.latest_at
    FROM app_steps_history AS s
    INNER JOIN source_readings AS r ON r.source = s.source AND r.reading = s.reading
    INNER JOIN app_names_history AS n ON n.object_id = s.object_id
),

events AS (
    SELECT DISTINCT
        e.audit_id,
        e.activity_at,
        e.actor_id,
        e.actor_name,
        regexp_extract(e.activity, '^(?:Hard )?(\w+)', 1) AS verb,
        CASE WHEN ends_with(e.activity, 'application') THEN 'app registration' ELSE 'enterprise application' END
            AS object_kind,
        list_transform(e.properties, lambda p: p.name) AS names,
        coalesce(n.service_principal_id, n.object_id) AS app_key
    FROM (
        SELECT *, unnest(ids) AS object_id
        FROM audit_targets_history
        WHERE regexp_matches(activity, '^(Hard )?(Add|Update|Remove|Delete|delete) (application|service principal)$')
    ) AS e
    INNER JOIN app_names_history AS n ON n.object_id = e.object_id
),

told AS (
    SELECT
        s.source, s.object_id, s.reading, s.kind, s.change, s.subject,
        -- the last event before the reading; one after its start only where there is none
        arg_max({'at': e.activity_at, 'id': e.actor_id, 'name': e.actor_name},
            (e.activity_at <= s.seen_at, e.activity_at, e.audit_id)) AS event
    FROM steps AS s
    INNER JOIN events AS e ON e.app_key = s.app_key
    WHERE e.activity_at <= s.latest_at
        AND (s.seen_from IS NULL OR e.activity_at > s.seen_from)
        AND CASE s.kind
            WHEN 'app' THEN e.object_kind = s.object_kind
                AND (e.verb = 'Add') = (s.change = 'added') AND e.verb <> 'Update'
            ELSE e.verb = 'Update' AND list_contains(e.names, s.audit_name)
        END
    GROUP BY ALL
)

SELECT
    s.kind,
    s.change,
    s.source AS read_from,
    s.object_id,
    s.kind || ' ' || s.subject AS part,
    CASE s.kind WHEN 'app' THEN s.object_kind ELSE s.subject END AS subject,
    s.before,
    s.after,
    coalesce(t.event.at, s.seen_at) AS changed_at,
    s.seen_from,
    s.seen_at,
    t.event.at AS event_at,
    t.event.id AS actor_id,
    t.event.name AS actor_name
FROM steps AS s
LEFT JOIN told AS t USING (source, object_id, reading, kind, change, subject)
-- what the first reading showed is where history starts; only the audit log can tell that it was new then
WHERE s.seen_from IS NOT NULL OR t.event.at IS NOT NULL
