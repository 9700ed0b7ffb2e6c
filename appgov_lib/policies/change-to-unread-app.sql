-- grain: app that the directory lists do not show x kind of change to it in the audit log
-- source: audited_apps
-- Policies about credentials, owners and consent start from the list of apps. An app that is gone again, or of a tenant
-- of which only logs were imported, is in none: what was done to it is told here, from the audit event alone.
WITH grouped AS (
    SELECT
        object_id,
        activity,
        max(app_id) AS app_id,
        max(app_name) AS name,
        count(*) AS events,
        min(activity_at) AS first_at,
        max(activity_at) AS last_at,
        list(DISTINCT actor_name) FILTER (actor_name IS NOT NULL) AS actors,
        list(DISTINCT actor_ip) FILTER (actor_ip IS NOT NULL) AS addresses,
        list(audit_id) AS audit_ids
    FROM audited_apps
    WHERE
        NOT is_in_directory
        AND NOT is_first_party
        AND NOT is_rotation
        AND activity IN (
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
    GROUP BY object_id, activity
)

SELECT
    object_id AS service_principal_id,
    app_id,
    name AS app_display_name,
    activity AS subject,
    CAST(events AS DOUBLE) AS measure,
    CAST($min_events AS DOUBLE) AS threshold,
    concat(
        activity, ': ', events, CASE WHEN events = 1 THEN ' event' ELSE ' events' END,
        ' about an app that is not in the directory lists that were read, ',
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
