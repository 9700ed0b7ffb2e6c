-- grain: app that holds a privileged directory role
-- source: stg_directory_role_assignments, app_inventory, reference/privileged_roles.csv
SELECT
    app.service_principal_id,
    app.app_id,
    app.display_name AS app_display_name,
    coalesce(held.role_name, listed.role_name, held.role_definition_id) AS subject,
    CAST(count(*) AS DOUBLE) AS measure,
    CAST(1 AS DOUBLE) AS threshold,
    concat(
        'The app holds the privileged directory role ',
        coalesce(held.role_name, listed.role_name, held.role_definition_id),
        CASE WHEN bool_or(held.scope = '/') THEN ' over the whole tenant' ELSE ' over a part of the tenant' END, '.'
    ) AS reason,
    json_object(
        'role_definition_id', held.role_definition_id,
        'scopes', list(held.scope ORDER BY held.scope),
        'assignment_ids', list(held.assignment_id ORDER BY held.assignment_id),
        'app_origin', app.app_origin,
        'owner_count', app.owner_count,
        'credential_count', app.credential_count,
        'last_used_at', app.last_used_at
    ) AS evidence
FROM stg_directory_role_assignments AS held
INNER JOIN app_inventory AS app
    ON held.principal_id = app.service_principal_id
LEFT JOIN ref_privileged_roles AS listed
    ON held.role_definition_id = listed.role_definition_id
WHERE
    app.is_in_scope
    AND coalesce(held.is_privileged, TRY_CAST(listed.is_privileged AS BOOLEAN))
GROUP BY
    app.service_principal_id, app.app_id, app.display_name, held.role_name, held.role_definition_id,
    listed.role_name, app.app_origin, app.owner_count, app.credential_count, app.last_used_at
ORDER BY app.service_principal_id, subject
