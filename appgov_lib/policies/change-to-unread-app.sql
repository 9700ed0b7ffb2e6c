-- grain: app that the directory lists do not show x kind of change to it in the audit log
-- source: stg_directory_audits, stg_service_principals, stg_applications
-- Policies about credentials, owners and consent start from the list of apps. An app that is gone again, or of a tenant
-- of which only logs were imported, is in none: what was done to it is told here, from the audit event alone.
WITH events AS (
    SELECT
        audit_id,
        activity_at,
        activity,
        actor_id,
        actor_name,
        actor_ip,
        unnest(from_json(targets, '[{"id":"VARCHAR","displayName":"VARCHAR","type":"VARCHAR","modifiedProperties":"JSON"}]'))
            AS target,
        targets
    FROM stg_directory_audits
    WHERE
        activity IN (
            'Add app role assignment to service principal',
            'Add delegated permission grant',
            'Add owner to application',
            'Add owner to service principal',
            'Add service principal credentials',
            'Consent to application',
            'Update application - Certificates and secrets management',
            'Update service principal credentials'
        )
        AND result IS DISTINCT FROM 'failure'
        -- an export without times is told of too, with the time unknown
        AND (
            activity_at IS NULL
            OR activity_at >= CAST($as_of AS DATE) + 1 - $days AND activity_at < CAST($as_of AS DATE) + 1
        )
        -- managed identities rotate their certificates by themselves
        AND actor_name IS DISTINCT FROM 'Managed Service Identity'
),

about_apps AS (
    SELECT
        lower(target.id) AS object_id,
        -- the name of an app stands beside its id, or among the properties of who was made its owner
        coalesce(
            nullif(target."displayName", ''),
            nullif(regexp_extract(
                CAST(targets AS VARCHAR), '"(?:Application|ServicePrincipal)\.DisplayName"[^}]*"newValue":"\\\\?"?([^"\\]+)', 1
            ), '')
        ) AS name,
        events.*
    FROM events
    WHERE lower(target.type) IN ('application', 'serviceprincipal', 'service principal') AND target.id IS NOT NULL
),

unread AS (
    SELECT about_apps.*
    FROM about_apps
    ANTI JOIN stg_service_principals AS sp
        ON about_apps.object_id = sp.service_principal_id
    ANTI JOIN stg_applications AS registration
        ON about_apps.object_id = registration.application_id
),

grouped AS (
    SELECT
        object_id,
        activity,
        any_value(name) AS name,
        count(DISTINCT audit_id) AS events,
        min(activity_at) AS first_at,
        max(activity_at) AS last_at,
        list(DISTINCT actor_name) FILTER (actor_name IS NOT NULL) AS actors,
        list(DISTINCT actor_ip) FILTER (actor_ip IS NOT NULL) AS addresses,
        list(DISTINCT audit_id) AS audit_ids
    FROM unread
    GROUP BY object_id, activity
)

SELECT
    object_id AS service_principal_id,
    CAST(NULL AS VARCHAR) AS app_id,
    name AS app_display_name,
    activity AS subject,
    CAST(events AS DOUBLE) AS measure,
    CAST($min_events AS DOUBLE) AS threshold,
    concat(
        activity, ': ', events, CASE WHEN events = 1 THEN ' event' ELSE ' events' END, ' about an app that is not in the directory lists that were read, ',
        CASE
            WHEN first_at IS NULL THEN 'at a time the log does not hold'
            ELSE 'first on ' || strftime(first_at, '%Y-%m-%d %H:%M') || ' UTC'
        END,
        CASE WHEN len(actors) > 0 THEN ', by ' || array_to_string(list_sort(actors)[1:3], ', ') ELSE ', by whom is not known' END,
        '. What the app may do is not known.'
    ) AS reason,
    json_object(
        'object_id', object_id, 'name', name, 'activity', activity, 'first_at', first_at, 'last_at', last_at,
        'actors', list_sort(actors), 'addresses', list_sort(addresses), 'audit_ids', list_sort(audit_ids)
    ) AS evidence
FROM grouped
WHERE events >= $min_events
ORDER BY object_id, activity
