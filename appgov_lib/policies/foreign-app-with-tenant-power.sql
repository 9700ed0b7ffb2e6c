-- grain: app of another tenant that can take over this one
-- source: app_permissions, stg_directory_role_assignments, app_inventory, reference/takeover_permissions.csv
WITH powers AS (
    SELECT held.service_principal_id, held.permission AS power, listed.reason AS why
    FROM app_permissions AS held
    INNER JOIN stg_service_principals AS resource
        ON held.resource_id = resource.service_principal_id
    INNER JOIN ref_takeover_permissions AS listed
        ON resource.app_id = listed.resource_app_id AND held.permission = listed.permission
    WHERE held.permission_type = 'application'
    UNION
    SELECT
        principal_id,
        coalesce(role_name, role_definition_id),
        'can give itself and others any role'
    FROM stg_directory_role_assignments
    WHERE role_definition_id IN (
        -- Global Administrator, Privileged Role Administrator, Privileged Authentication Administrator
        '62e90394-69f5-4237-9190-012177145e10',
        'e8611ab8-c189-46e8-94e1-60213ab1f814',
        '7be44c8a-adaf-4e2a-84d6-ab2649e08a13'
    )
)

SELECT
    app.service_principal_id,
    app.app_id,
    app.display_name AS app_display_name,
    '' AS subject,
    CAST(count(*) AS DOUBLE) AS measure,
    CAST(1 AS DOUBLE) AS threshold,
    concat(
        'An app of another tenant can take over this one: ',
        string_agg(concat(powers.power, ' (', powers.why, ')'), '; ' ORDER BY powers.power), '.'
    ) AS reason,
    json_object(
        'powers', list(powers.power ORDER BY powers.power), 'publisher_name', app.publisher_name,
        'publisher_verified', app.publisher_verified, 'last_used_at', app.last_used_at
    ) AS evidence
FROM powers
INNER JOIN app_inventory AS app
    ON powers.service_principal_id = app.service_principal_id
WHERE
    app.is_in_scope
    AND app.app_origin = 'external'
    AND app.status = 'enabled'
GROUP BY
    app.service_principal_id, app.app_id, app.display_name, app.publisher_name, app.publisher_verified,
    app.last_used_at
ORDER BY app.service_principal_id
