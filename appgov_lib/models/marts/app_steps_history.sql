-- grain: app, property or reply URL that came, went or became another between two readings
-- source: apps_seen_history, app_names_history, source_readings, audit_targets_history
WITH firsts AS (
    -- the first reading of which something is left: what it shows is where history starts
    SELECT source, min(readings[1]) AS first_reading FROM apps_seen_history GROUP BY source
),

-- Nearly every app has one form, whose readings are in order already.
several AS (
    SELECT source, object_id FROM apps_seen_history GROUP BY source, object_id HAVING count(*) > 1
),

spans AS (
    SELECT source, object_id, unnest(runs(readings)) AS run
    FROM apps_seen_history
    ANTI JOIN several USING (source, object_id)
    UNION ALL
    SELECT source, object_id, unnest(runs(list_sort(list_distinct(flatten(list(readings)))))) AS run
    FROM apps_seen_history
    SEMI JOIN several USING (source, object_id)
    GROUP BY source, object_id
),

lives AS (
    SELECT s.source, s.object_id, 'added' AS change, s.run.first AS reading, s.run.first = f.first_reading AS is_start
    FROM spans AS s
    INNER JOIN firsts AS f ON f.source = s.source
    UNION ALL
    SELECT source, object_id, 'removed', run.last + 1, false
    FROM spans
),

-- Only what has several forms became another; of two forms in one reading the one that lasts counts.
forms AS (
    SELECT
        *,
        row_number() OVER (
            PARTITION BY source, object_id
            ORDER BY readings[-1], readings[1], display_name, publisher_name, CAST(reply_urls AS VARCHAR), app_id,
                account_enabled, is_disabled, disabled_by_microsoft_status, verified_publisher, sign_in_audience,
                assignment_required
        ) AS form
    FROM apps_seen_history
    SEMI JOIN several USING (source, object_id)
),

turns AS (
    SELECT source, object_id, reading, form, lag(reading) OVER w AS old_reading, lag(form) OVER w AS old_form
    FROM (
        SELECT source, object_id, reading, max(form) AS form
        FROM (SELECT source, object_id, form, unnest(readings) AS reading FROM forms)
        GROUP BY ALL
    )
    WINDOW w AS (PARTITION BY source, object_id ORDER BY reading)
    QUALIFY form <> old_form AND old_reading = reading - 1
),

compared AS (
    SELECT t.source, t.object_id, t.reading, o AS old, n AS new
    FROM turns AS t
    INNER JOIN forms AS o ON o.source = t.source AND o.object_id = t.object_id AND o.form = t.old_form
    INNER JOIN forms AS n ON n.source = t.source AND n.object_id = t.object_id AND n.form = t.form
    INNER JOIN app_names_history AS a ON a.object_id = t.object_id
    -- the service principal follows its registration, so one of the two tells it
    WHERE t.source = 'service_principals' OR a.service_principal_id IS NULL
),

properties AS (
    SELECT source, object_id, reading, unnest([
        {'name': 'display name', 'audit': 'DisplayName', 'before': old.display_name, 'after': new.display_name},
        {'name': 'publisher', 'audit': 'PublisherName', 'before': old.publisher_name, 'after': new.publisher_name},
        {'name': 'verified publisher', 'audit': 'VerifiedPublisher', 'before': old.verified_publisher,
            'after': new.verified_publisher},
        {'name': 'disabled by Microsoft', 'audit': '', 'before': old.disabled_by_microsoft_status,
            'after': new.disabled_by_microsoft_status},
        {'name': 'sign-in audience', 'audit': 'AvailableToOtherTenants', 'before': old.sign_in_audience,
            'after': new.sign_in_audience},
        -- yes or no: where one side was not sent along, nobody knows
        {'name': 'sign-in enabled', 'audit': 'AccountEnabled',
            'before': CAST(coalesce(old.account_enabled, new.account_enabled) AS VARCHAR),
            'after': CAST(coalesce(new.account_enabled, old.account_enabled) AS VARCHAR)},
        {'name': 'deactivated', 'audit': 'IsDisabled',
            'before': CAST(coalesce(old.is_disabled, new.is_disabled) AS VARCHAR),
            'after': CAST(coalesce(new.is_disabled, old.is_disabled) AS VARCHAR)},
        {'name': 'assignment required', 'audit': 'AppRoleAssignmentRequired',
            'before': CAST(coalesce(old.assignment_required, new.assignment_required) AS VARCHAR),
            'after': CAST(coalesce(new.assignment_required, old.assignment_required) AS VARCHAR)}
    ], max_depth := 2)
    FROM compared
),

addresses AS (
    SELECT source, object_id, reading, 'added' AS change,
        unnest(list_filter(new.reply_urls, lambda a: NOT list_contains(old.reply_urls, a))) AS address
    FROM compared
    UNION ALL
    SELECT source, object_id, reading, 'removed',
        unnest(list_filter(old.reply_urls, lambda a: NOT list_contains(new.reply_urls, a)))
    FROM compared
)

SELECT 'app' AS kind, change, source, object_id, reading, is_start, '' AS subject, '' AS audit_name,
    CAST(NULL AS VARCHAR) AS before, CAST(NULL AS VARCHAR) AS after
FROM lives
UNION ALL
SELECT 'property', 'changed', source, object_id, reading, false, name, audit, before, after
FROM properties
WHERE before IS DISTINCT FROM after
UNION ALL
SELECT 'reply_url', change, source, object_id, reading, false, address, 'AppAddress',
    CASE change WHEN 'removed' THEN address END, CASE change WHEN 'added' THEN address END
FROM addresses
