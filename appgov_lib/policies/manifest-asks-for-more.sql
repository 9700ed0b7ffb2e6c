-- grain: app registered here that asks for high permissions it was not given
-- source: manifest_permissions, reference/permission_levels.csv, stg_directory_audits, app_inventory
WITH asked AS (
    SELECT
        wanted.app_id,
        max(wanted.application_id) AS application_id,
        count(*) AS permission_count,
        list(wanted.permission ORDER BY wanted.permission) AS names,
        list(
            {
                'resource_id': wanted.resource_id,
                'resource_app_id': wanted.resource_app_id,
                'resource': wanted.resource_name,
                'permission': wanted.permission,
                'permission_id': wanted.permission_id,
                'permission_type': wanted.permission_type,
                'why_high': level.reason
            } ORDER BY wanted.resource_app_id, wanted.permission_type, wanted.permission
        ) AS asked_for
    FROM manifest_permissions AS wanted
    INNER JOIN ref_permission_levels AS level
        ON wanted.resource_app_id = level.resource_app_id
        AND wanted.permission = level.permission
        AND wanted.permission_type = level.permission_type
    WHERE
        -- NULL: grants were not completely read
        wanted.granted = FALSE
        AND level.level = 'high'
    GROUP BY wanted.app_id
),

list_changes AS (
    SELECT
        activity_at,
        audit_id,
        actor_name,
        lower(unnest(target_ids)) AS target_id
    FROM stg_directory_audits
    WHERE
        activity = 'Update application'
        AND result IS DISTINCT FROM 'failure'
        AND activity_at >= CAST($as_of AS DATE) + 1 - $days
        AND activity_at < CAST($as_of AS DATE) + 1
        AND list_contains(
            json_extract_string(targets, '$[*].modifiedProperties[*].displayName'), 'RequiredResourceAccess'
        )
),

changed AS (
    SELECT
        target_id,
        max(activity_at) AS changed_at,
        arg_max(actor_name, (activity_at, audit_id)) AS actor_name
    FROM list_changes
    GROUP BY target_id
)

SELECT
    app.service_principal_id,
    app.app_id,
    app.display_name AS app_display_name,
    '' AS subject,
    CAST(asked.permission_count AS DOUBLE) AS measure,
    CAST($min_permissions AS DOUBLE) AS threshold,
    concat(
        'The app registration asks for ', asked.permission_count, ' high ',
        CASE WHEN asked.permission_count = 1 THEN 'permission' ELSE 'permissions' END, ' it was not given: ',
        array_to_string(asked.names[1:3], ', '),
        CASE WHEN len(asked.names) > 3 THEN concat(' and ', len(asked.names) - 3, ' more') ELSE '' END,
        coalesce('; its list was changed on ' || strftime(changed.changed_at, '%Y-%m-%d'), ''), '.'
    ) AS reason,
    json_object(
        'application_id', asked.application_id,
        'asked_for', asked.asked_for,
        'changed_at', changed.changed_at,
        'changed_by', changed.actor_name,
        'permission_count', app.permission_count
    ) AS evidence
FROM asked
INNER JOIN app_inventory AS app
    ON asked.app_id = app.app_id
LEFT JOIN changed
    ON asked.application_id = changed.target_id
WHERE
    app.is_in_scope
    AND app.status = 'enabled'
    AND asked.permission_count >= $min_permissions
ORDER BY app.service_principal_id
