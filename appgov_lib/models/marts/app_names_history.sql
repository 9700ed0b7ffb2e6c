-- grain: service principal or app registration that was ever seen, by object id
-- source: apps_seen_history
-- Names of what is gone are needed too, so the current tables are not enough.
-- Nearly everything has one form, and nothing to pick.
WITH several AS (
    SELECT object_id FROM apps_seen_history GROUP BY object_id HAVING count(*) > 1
),

latest AS (
    SELECT object_id, source, app_id, display_name
    FROM apps_seen_history
    ANTI JOIN several USING (object_id)
    UNION ALL
    SELECT
        object_id,
        max(source) AS source,
        arg_max(app_id, (readings[-1], app_id)) AS app_id,
        arg_max(display_name, (readings[-1], display_name)) AS display_name
    FROM apps_seen_history
    SEMI JOIN several USING (object_id)
    GROUP BY object_id
),

principals AS (
    SELECT app_id, min(object_id) AS service_principal_id
    FROM latest
    WHERE source = 'service_principals' AND app_id IS NOT NULL
    GROUP BY app_id
)

SELECT
    l.object_id,
    CASE l.source WHEN 'applications' THEN 'app registration' ELSE 'enterprise application' END AS object_kind,
    CASE l.source WHEN 'applications' THEN p.service_principal_id ELSE l.object_id END AS service_principal_id,
    l.app_id,
    l.display_name
FROM latest AS l
LEFT JOIN principals AS p ON p.app_id = l.app_id
