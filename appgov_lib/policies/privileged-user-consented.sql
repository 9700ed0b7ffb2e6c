-- grain: app of another tenant that acts for a user who holds a privileged role
-- source: stg_delegated_grants, app_permissions, stg_directory_role_assignments, stg_role_eligibility_schedules,
--         reference/privileged_roles.csv, stg_users, app_inventory
WITH role_holders AS (
    SELECT lower(principal_id) AS principal_id, role_name
    FROM stg_directory_role_assignments
    WHERE is_privileged
    UNION
    -- who may switch a role on is worth as much to a thief
    SELECT lower(eligible.principal_id), concat(role.role_name, ' (eligible)')
    FROM stg_role_eligibility_schedules AS eligible
    INNER JOIN ref_privileged_roles AS role
        ON eligible.role_definition_id = role.role_definition_id
    WHERE CAST(role.is_privileged AS BOOLEAN)
),

privileged AS (
    SELECT
        holder.principal_id,
        max(person.user_principal_name) AS user_principal_name,
        list(DISTINCT holder.role_name ORDER BY holder.role_name) AS roles
    FROM role_holders AS holder
    INNER JOIN stg_users AS person
        ON holder.principal_id = person.user_id
    GROUP BY holder.principal_id
),

consents AS (
    SELECT
        held.service_principal_id,
        held.resource_id,
        lower(held.principal_id) AS principal_id,
        unnest(held.scopes) AS permission
    FROM stg_delegated_grants AS held
    SEMI JOIN privileged ON lower(held.principal_id) = privileged.principal_id
    WHERE held.consent_type = 'Principal'
),

strong AS (
    SELECT
        app.service_principal_id,
        who.principal_id,
        max(who.user_principal_name) AS user_principal_name,
        max(who.roles) AS roles,
        list(DISTINCT given.permission ORDER BY given.permission) AS permissions
    FROM consents AS given
    INNER JOIN privileged AS who
        ON given.principal_id = who.principal_id
    INNER JOIN app_permissions AS held
        ON given.service_principal_id = held.service_principal_id
        AND given.resource_id = held.resource_id
        AND given.permission = held.permission
        AND held.permission_type = 'delegated'
    INNER JOIN app_inventory AS app
        ON given.service_principal_id = app.service_principal_id
    WHERE
        app.is_in_scope
        AND app.app_origin = 'external'
        AND app.status = 'enabled'
        AND (held.privilege_level = 'high' OR (held.privilege_level = 'medium' AND app.publisher_verified = FALSE))
    GROUP BY app.service_principal_id, who.principal_id
),

summed AS (
    SELECT
        service_principal_id,
        count(*) AS users,
        list(coalesce(user_principal_name, principal_id) ORDER BY principal_id) AS names,
        list(
            {'user_id': principal_id, 'user': user_principal_name, 'roles': roles, 'permissions': permissions}
            ORDER BY principal_id
        ) AS consenters
    FROM strong
    GROUP BY service_principal_id
)

SELECT
    app.service_principal_id,
    app.app_id,
    app.display_name AS app_display_name,
    '' AS subject,
    CAST(summed.users AS DOUBLE) AS measure,
    CAST($min_users AS DOUBLE) AS threshold,
    concat(
        summed.users, CASE WHEN summed.users = 1 THEN ' user' ELSE ' users' END,
        ' with a privileged role let an app of another tenant act for them: ',
        array_to_string(summed.names[1:3], ', '),
        CASE WHEN len(summed.names) > 3 THEN concat(' and ', len(summed.names) - 3, ' more') ELSE '' END, '.'
    ) AS reason,
    json_object(
        'consenters', summed.consenters,
        'publisher_name', app.publisher_name,
        'publisher_verified', app.publisher_verified,
        'last_used_at', app.last_used_at
    ) AS evidence
FROM summed
INNER JOIN app_inventory AS app
    ON summed.service_principal_id = app.service_principal_id
WHERE summed.users >= $min_users
ORDER BY app.service_principal_id
