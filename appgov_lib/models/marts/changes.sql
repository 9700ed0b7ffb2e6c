-- grain: one change to an app, its access, or a setting for consent
-- source: app_step_times_history, access_steps_history, settings_seen_history, source_readings, app_names_history
-- Only complete readings compare, each source with its own: a source that was not read, or read in part, shows nothing
-- gone. What the first reading of a source showed is where history starts and no change.
WITH setting_forms AS (
    SELECT source, setting, value, unnest(readings) AS reading FROM settings_seen_history
),

setting_turns AS (
    SELECT
        *,
        lag(value) OVER w AS old_value,
        lag(reading) OVER w AS old_reading,
        min(reading) OVER (PARTITION BY source) AS first_reading
    -- paging may show a list twice: one value a reading
    FROM (SELECT source, setting, reading, max(value) AS value FROM setting_forms GROUP BY ALL)
    WINDOW w AS (PARTITION BY source, setting ORDER BY reading)
),

setting_ends AS (
    SELECT source, setting, reading, 'changed' AS change, old_value AS before, value AS after
    FROM setting_turns
    -- a value that was not sent along is not known, so it did not become another
    WHERE old_reading = reading - 1 AND old_value <> value
    UNION ALL
    SELECT source, setting, reading, 'added', NULL, value
    FROM setting_turns
    WHERE reading > first_reading AND old_reading IS DISTINCT FROM reading - 1
    UNION ALL
    SELECT source, setting, reading + 1, 'removed', value, NULL
    FROM setting_turns
    QUALIFY lead(reading) OVER (PARTITION BY source, setting ORDER BY reading) IS DISTINCT FROM reading + 1
),

steps AS (
    FROM app_step_times_history
    UNION ALL BY NAME
    FROM access_steps_history
    UNION ALL BY NAME
    SELECT
        'setting' AS kind,
        s.change,
        s.source AS read_from,
        '' AS object_id,
        s.setting AS part,
        s.setting AS subject,
        s.before,
        s.after,
        r.read_at AS changed_at,
        r.previous_read_at AS seen_from,
        r.read_at AS seen_at
    FROM setting_ends AS s
    INNER JOIN source_readings AS r ON r.source = s.source AND r.reading = s.reading
),

newest AS (
    SELECT source, max(read_at) AS read_at FROM source_readings GROUP BY source
)

SELECT
    s.changed_at,
    s.seen_from,
    s.seen_at,
    s.kind,
    s.change,
    n.service_principal_id,
    n.app_id,
    n.display_name,
    s.subject,
    s.before,
    s.after,
    s.actor_id,
    s.actor_name,
    CASE
        WHEN s.event_at IS NULL THEN 'snapshot'
        WHEN s.seen_from IS NULL THEN 'audit log'
        ELSE 'both'
    END AS source,
    CASE
        WHEN s.seen_from IS NULL THEN 'Told by the audit log; it was there when the tenant was first read.'
        WHEN s.event_at IS NOT NULL THEN 'Dated by the audit log, seen between two readings.'
        WHEN s.changed_at <> s.seen_at THEN 'Dated by the object itself; no audit event names it.'
        ELSE 'Between ' || strftime(s.seen_from, '%Y-%m-%d %H:%M') || ' and ' || strftime(s.seen_at, '%Y-%m-%d %H:%M')
            || ' UTC; no audit event names it.'
    END AS reason,
    s.seen_from IS NOT NULL AND s.seen_at = w.read_at AS is_latest,
    md5(concat_ws(' ', s.kind, s.change, s.read_from, s.object_id, s.part, s.seen_at)) AS change_id
FROM steps AS s
LEFT JOIN app_names_history AS n ON n.object_id = s.object_id
LEFT JOIN newest AS w ON w.source = s.read_from
-- Entra roles are held by people and groups too; this is about apps
WHERE n.object_id IS NOT NULL OR s.kind = 'setting'
ORDER BY s.changed_at, s.kind, n.display_name, s.subject, s.change, change_id
