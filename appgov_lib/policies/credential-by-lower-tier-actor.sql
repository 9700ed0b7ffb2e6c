-- grain: credential on a highly privileged app, added by somebody who holds no privileged role
-- source: credential_additions, app_inventory, stg_directory_role_assignments, stg_role_eligibility_schedules, app_owners
WITH trusted AS (
    SELECT principal_id FROM stg_directory_role_assignments WHERE is_privileged IS NOT FALSE
    UNION
    -- who may take a role for some hours had it when it counted, perhaps
    SELECT principal_id FROM stg_role_eligibility_schedules
    UNION
    SELECT service_principal_id FROM app_inventory WHERE privilege_level = 'high' OR is_first_party
),

owners AS (
    SELECT DISTINCT service_principal_id, owner_id FROM app_owners
)

SELECT
    app.service_principal_id,
    app.app_id,
    app.display_name AS app_display_name,
    credential.key_id AS subject,
    CAST(app.high_privilege_count AS DOUBLE) AS measure,
    CAST($min_high_permissions AS DOUBLE) AS threshold,
    concat(
        coalesce(credential.actor_name, credential.actor_id), ', who holds no privileged Entra role of ',
        CASE credential.actor_type WHEN 'user' THEN 'their' ELSE 'its' END, ' own',
        CASE WHEN owners.owner_id IS NOT NULL THEN ' and owns the app' ELSE '' END,
        ', added a credential on ', strftime(credential.added_at, '%Y-%m-%d'), ' to an app with ',
        app.high_privilege_count,
        CASE WHEN app.high_privilege_count = 1 THEN ' permission' ELSE ' permissions' END, ' of high privilege.'
    ) AS reason,
    json_object(
        'key_id', credential.key_id, 'credential_type', credential.credential_type,
        'credential_origin', credential.credential_origin, 'added_at', credential.added_at,
        'is_present', credential.is_present, 'actor_id', credential.actor_id, 'actor_name', credential.actor_name,
        'actor_type', credential.actor_type, 'actor_ip', credential.actor_ip, 'audit_id', credential.audit_id,
        'actor_is_owner', owners.owner_id IS NOT NULL, 'directory_roles', app.directory_roles
    ) AS evidence
FROM credential_additions AS credential
INNER JOIN app_inventory AS app
    ON credential.service_principal_id = app.service_principal_id
ANTI JOIN trusted
    ON credential.actor_id = trusted.principal_id
LEFT JOIN owners
    ON credential.service_principal_id = owners.service_principal_id AND credential.actor_id = owners.owner_id
-- an app that acts is judged only where its own access is known
LEFT JOIN app_inventory AS actor
    ON credential.actor_id = actor.service_principal_id
WHERE
    app.is_in_scope
    AND app.high_privilege_count >= $min_high_permissions
    AND credential.added_at >= CAST($as_of AS DATE) + 1 - $days
    AND credential.added_at < CAST($as_of AS DATE) + 1
    AND (credential.actor_type = 'user' OR actor.privilege_level IN ('none', 'low', 'medium'))
    AND credential.actor_id IS NOT NULL
ORDER BY app.service_principal_id, credential.key_id
