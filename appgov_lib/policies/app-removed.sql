-- grain: app or registration that went in the period
-- source: changes, app_inventory, stg_deleted_service_principals, reference/first_party_apps.csv
WITH removed AS (
    SELECT
        service_principal_id,
        subject,
        max(changed_at) AS removed_at,
        arg_max(app_id, changed_at) AS app_id,
        arg_max(display_name, changed_at) AS display_name,
        arg_max(actor_id, changed_at) AS actor_id,
        arg_max(actor_name, changed_at) AS actor_name
    FROM changes
    WHERE
        kind = 'app'
        AND change = 'removed'
        AND changed_at >= CAST($as_of AS DATE) + 1 - $days
        AND changed_at < CAST($as_of AS DATE) + 1
        AND service_principal_id IS NOT NULL
    GROUP BY service_principal_id, subject
)

SELECT
    removed.service_principal_id,
    removed.app_id,
    removed.display_name AS app_display_name,
    removed.subject,
    CAST(1 AS DOUBLE) AS measure,
    CAST(NULL AS DOUBLE) AS threshold,
    concat(
        'The ', removed.subject, ' was removed on ', strftime(removed.removed_at, '%Y-%m-%d'),
        CASE WHEN removed.actor_name IS NULL THEN '' ELSE ' by ' || removed.actor_name END,
        CASE WHEN gone.service_principal_id IS NULL THEN '' ELSE '; it can be restored for 30 days' END, '.'
    ) AS reason,
    json_object(
        'removed_at', removed.removed_at, 'actor_id', removed.actor_id, 'actor_name', removed.actor_name,
        'deleted_at', gone.deleted_at
    ) AS evidence
FROM removed
LEFT JOIN app_inventory AS app
    ON removed.service_principal_id = app.service_principal_id
LEFT JOIN stg_deleted_service_principals AS gone
    ON removed.service_principal_id = gone.service_principal_id
LEFT JOIN ref_first_party_apps AS microsoft
    ON removed.app_id = microsoft.app_id
WHERE
    app.is_in_scope IS NOT FALSE
    AND gone.service_principal_type IS DISTINCT FROM 'ManagedIdentity'
    AND microsoft.app_id IS NULL
ORDER BY removed.service_principal_id, removed.subject
