-- grain: app that a rule's events concern
-- source: matched (the events the rule picks), app_inventory
-- Microsoft's own apps and managed identities are left out: public rules do not know them, and name them often.
WITH events AS (
    SELECT DISTINCT event_id, happened_at, activity, actor_name, target_name, object_ids, app_ids
    FROM matched
),

concerned AS (
    SELECT e.* EXCLUDE (object_ids, app_ids), i.service_principal_id
    FROM (SELECT *, unnest(object_ids) AS object_id FROM events) AS e
    INNER JOIN app_inventory AS i ON i.service_principal_id = e.object_id
    UNION
    SELECT e.* EXCLUDE (object_ids, app_ids), i.service_principal_id
    FROM (SELECT *, unnest(object_ids) AS object_id FROM events) AS e
    INNER JOIN app_inventory AS i ON i.application_id = e.object_id
    UNION
    SELECT e.* EXCLUDE (object_ids, app_ids), i.service_principal_id
    FROM (SELECT *, unnest(app_ids) AS seen_app_id FROM events) AS e
    INNER JOIN app_inventory AS i ON i.app_id = e.seen_app_id
)

SELECT
    i.service_principal_id,
    i.app_id,
    i.display_name AS app_display_name,
    '' AS subject,
    CAST(count(DISTINCT c.event_id) AS DOUBLE) AS measure,
    CAST(1 AS DOUBLE) AS threshold,
    concat(
        'Events that the rule describes: ', count(DISTINCT c.event_id), ', the last at ',
        strftime(max(c.happened_at), '%Y-%m-%d %H:%M'), ' UTC: ',
        coalesce(arg_max(c.activity, (c.happened_at, c.event_id)), 'not named'), ' by ',
        coalesce(arg_max(c.actor_name, (c.happened_at, c.event_id)), 'somebody the log does not name'), '.'
    ) AS reason,
    json_object(
        'events', list_slice(list(
            {
                'event_id': c.event_id,
                'happened_at': c.happened_at,
                'activity': c.activity,
                'actor': c.actor_name,
                'target': c.target_name
            }
            ORDER BY c.happened_at DESC, c.event_id
        ), 1, 10)
    ) AS evidence
FROM concerned AS c
INNER JOIN app_inventory AS i ON i.service_principal_id = c.service_principal_id
WHERE NOT coalesce(i.is_first_party, false)
    AND i.service_principal_type IS DISTINCT FROM 'ManagedIdentity'
GROUP BY i.service_principal_id, i.app_id, i.display_name
ORDER BY i.service_principal_id
