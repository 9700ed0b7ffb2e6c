-- grain: audit event after which an app trusts another issuer or subject in place of one it trusted
-- source: stg_directory_audits, app_inventory
WITH events AS (
    SELECT
        audit_id,
        activity_at,
        activity,
        actor_id,
        actor_name,
        actor_ip,
        target_ids[1] AS target_id,
        unnest(json_extract(targets, '$[*].modifiedProperties[*]')) AS property
    FROM stg_directory_audits
    WHERE
        activity IN ('Update application', 'Update service principal')
        AND result IS DISTINCT FROM 'failure'
        AND activity_at >= CAST($as_of AS DATE) + 1 - $days
        AND activity_at < CAST($as_of AS DATE) + 1
        AND contains(lower(CAST(targets AS VARCHAR)), 'federatedidentitycredential')
),

-- Logs write the list as JSON, some as JSON inside a text: without the backslashes both read alike.
sides AS (
    SELECT
        * EXCLUDE (property),
        replace(coalesce(property ->> '$.oldValue', ''), '\', '') AS old_text,
        replace(coalesce(property ->> '$.newValue', ''), '\', '') AS new_text
    FROM events
    WHERE contains(lower(property ->> '$.displayName'), 'federatedidentitycredential')
),

trusts AS (
    SELECT
        *,
        list_distinct(regexp_extract_all(old_text, '(?i)"?(?:issuer|subject)"?\s*[:=]\s*"?([^",;}]+)', 1)) AS before,
        list_distinct(regexp_extract_all(new_text, '(?i)"?(?:issuer|subject)"?\s*[:=]\s*"?([^",;}]+)', 1)) AS after
    FROM sides
),

compared AS (
    SELECT
        *,
        list_sort(list_filter(before, lambda t: NOT list_contains(after, t))) AS gone,
        list_sort(list_filter(after, lambda t: NOT list_contains(before, t))) AS come
    FROM trusts
)

SELECT
    app.service_principal_id,
    app.app_id,
    app.display_name AS app_display_name,
    event.audit_id AS subject,
    CAST(len(event.come) AS DOUBLE) AS measure,
    CAST($min_values AS DOUBLE) AS threshold,
    concat(
        'On ', strftime(event.activity_at, '%Y-%m-%d %H:%M'), ' UTC ',
        coalesce(event.actor_name, 'somebody not named'), ' changed whom the app trusts: ',
        array_to_string(event.come, ', '), ' in place of ', array_to_string(event.gone, ', '), '.'
    ) AS reason,
    json_object(
        'audit_id', event.audit_id, 'activity', event.activity, 'changed_at', event.activity_at,
        'actor_id', event.actor_id, 'actor_name', event.actor_name, 'actor_ip', event.actor_ip,
        'came', event.come, 'gone', event.gone, 'privilege_level', app.privilege_level
    ) AS evidence
FROM compared AS event
INNER JOIN app_inventory AS app
    -- the event names the registration, or the service principal
    ON app.service_principal_id = event.target_id OR app.application_id = event.target_id
WHERE
    app.is_in_scope
    AND len(event.gone) > 0
    AND len(event.come) >= $min_values
ORDER BY app.service_principal_id, event.audit_id
