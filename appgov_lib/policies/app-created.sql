-- grain: app that came into the tenant in the period
-- source: changes, audited_apps, app_inventory
WITH told AS (
    SELECT service_principal_id, app_id, changed_at, display_name, actor_id, actor_name, source
    FROM changes
    WHERE
        kind = 'app'
        AND change = 'added'
        AND changed_at >= CAST($as_of AS DATE) + 1 - $days
        AND changed_at < CAST($as_of AS DATE) + 1
        AND service_principal_id IS NOT NULL
    UNION ALL
    -- Apps that were gone before the next reading, and logs imported without the directory.
    SELECT object_id, app_id, activity_at, app_name, actor_id, actor_name, 'audit log'
    FROM audited_apps
    WHERE
        activity = 'Add service principal'
        AND NOT is_first_party
        AND result IS DISTINCT FROM 'failure'
        AND activity_at >= CAST($as_of AS DATE) + 1 - $days
        AND activity_at < CAST($as_of AS DATE) + 1
),

created AS (
    SELECT
        service_principal_id,
        max(app_id) AS app_id,
        min(changed_at) AS created_at,
        max(display_name) AS display_name,
        arg_min(actor_id, changed_at) AS actor_id,
        arg_min(actor_name, changed_at) AS actor_name,
        min(source) AS source
    FROM told
    GROUP BY service_principal_id
)

SELECT
    created.service_principal_id,
    coalesce(app.app_id, created.app_id) AS app_id,
    coalesce(app.display_name, created.display_name) AS app_display_name,
    '' AS subject,
    CAST(app.permission_count AS DOUBLE) AS measure,
    CAST(NULL AS DOUBLE) AS threshold,
    concat(
        'Came into the tenant on ', strftime(created.created_at, '%Y-%m-%d'),
        CASE WHEN created.actor_name IS NULL THEN '' ELSE ' by ' || created.actor_name END,
        CASE
            WHEN app.service_principal_id IS NULL THEN '; it is not among the apps read'
            ELSE concat('; permissions it holds: ', app.permission_count, ', highest level: ', app.privilege_level)
        END, '.'
    ) AS reason,
    json_object(
        'created_at', created.created_at, 'actor_id', created.actor_id, 'actor_name', created.actor_name,
        'source', created.source, 'app_origin', app.app_origin, 'publisher_verified', app.publisher_verified
    ) AS evidence
FROM created
LEFT JOIN app_inventory AS app
    ON created.service_principal_id = app.service_principal_id
WHERE app.is_in_scope IS NOT FALSE
ORDER BY created.service_principal_id
