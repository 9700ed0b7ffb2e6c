-- grain: app x part of impact that counts for it
-- source: app_permissions, stg_directory_role_assignments, stg_users, reference/takeover_permissions.csv
-- How often each part counts ("units"); the points are in reference/risk_weights.csv. Permissions limited to chosen
-- objects (Sites.Selected, OwnedBy, ...) have a lower level already, so they need no rule here.
WITH held AS (
    SELECT
        p.*,
        p.permission_type = 'application' AS is_application,
        p.permission_type = 'application' AND p.privilege_level = 'high' AS is_application_high,
        t.permission IS NOT NULL AS takes_over
    FROM app_permissions AS p
    LEFT JOIN stg_service_principals AS r ON r.service_principal_id = p.resource_id
    LEFT JOIN ref_takeover_permissions AS t
        ON t.permission = p.permission AND t.resource_app_id = r.app_id AND p.permission_type = 'application'
),

people AS (
    SELECT nullif(count(*) FILTER (account_enabled IS NOT FALSE), 0) AS everybody FROM stg_users
),

permissions AS (
    SELECT
        service_principal_id,
        list(permission) FILTER (takes_over) AS takeover,
        list(permission) FILTER (is_application_high) AS application_high,
        list(permission) FILTER (is_application_high AND service = 'Directory' AND access = 'write') AS directory,
        list(permission) FILTER (
            is_application_high AND service IN ('Exchange', 'OneDrive', 'SharePoint', 'Teams')
        ) AS content,
        list(permission) FILTER (is_application AND privilege_level = 'medium') AS application_medium,
        list(permission) FILTER (NOT is_application AND privilege_level = 'high' AND consent_type = 'admin')
            AS high_everybody,
        list(permission) FILTER (NOT is_application AND privilege_level = 'high' AND consent_type = 'user')
            AS high_some,
        list(permission) FILTER (NOT is_application AND privilege_level = 'medium') AS delegated_medium,
        -- distinct users over several permissions are not counted here, so this is the least there can be
        max(CASE consent_type WHEN 'admin' THEN p.everybody ELSE consented_users END)
            FILTER (NOT is_application AND privilege_level IN ('high', 'medium')) AS users
    FROM held
    CROSS JOIN people AS p
    GROUP BY service_principal_id
),

permission_parts AS (
    SELECT
        service_principal_id,
        unnest([
            {'part_id': 'application_takeover', 'units': len(takeover),
                'why': 'May take over the tenant with ' || some_of(takeover) || '.'},
            {'part_id': 'application_high', 'units': CASE WHEN len(application_high) > 0 THEN 1 END,
                'why': 'High-privilege application permissions: ' || some_of(application_high) || '.'},
            {'part_id': 'application_high_more', 'units': len(application_high) - 1,
                'why': 'Holds ' || len(application_high) || ' high-privilege application permissions, '
                    || (len(application_high) - 1) || ' beyond the first.'},
            {'part_id': 'application_directory', 'units': len(directory),
                'why': 'May change the directory without a user: ' || some_of(directory) || '.'},
            {'part_id': 'application_content', 'units': len(content),
                'why': 'Reaches content of everybody without a user: ' || some_of(content) || '.'},
            {'part_id': 'application_medium', 'units': len(application_medium),
                'why': 'Medium-privilege application permissions: ' || some_of(application_medium) || '.'},
            {'part_id': 'delegated_high_everybody', 'units': len(high_everybody),
                'why': 'High-privilege delegated permissions, consented for everybody: '
                    || some_of(high_everybody) || '.'},
            {'part_id': 'delegated_high_some', 'units': len(high_some),
                'why': 'High-privilege delegated permissions, consented by single users: '
                    || some_of(high_some) || '.'},
            {'part_id': 'delegated_medium', 'units': len(delegated_medium),
                'why': 'Medium-privilege delegated permissions: ' || some_of(delegated_medium) || '.'},
            {'part_id': 'users_reached', 'units': CASE WHEN users > 0 THEN len(CAST(users AS VARCHAR)) END,
                'why': 'Can act for at least ' || users || CASE users WHEN 1 THEN ' user.' ELSE ' users.' END}
        ], max_depth := 2)
    FROM permissions
),

roles AS (
    SELECT
        principal_id AS service_principal_id,
        -- assigned twice over the whole tenant is still one role
        list(DISTINCT coalesce(role_name, role_definition_id)) FILTER (is_privileged AND scope = '/') AS privileged,
        list(DISTINCT coalesce(role_name, role_definition_id)) FILTER (NOT (is_privileged IS TRUE AND scope = '/'))
            AS other
    FROM stg_directory_role_assignments
    GROUP BY principal_id
),

role_parts AS (
    SELECT
        service_principal_id,
        unnest([
            {'part_id': 'entra_role_privileged', 'units': len(privileged),
                'why': 'Holds a privileged Entra role over the whole tenant: ' || some_of(privileged) || '.'},
            {'part_id': 'entra_role_other', 'units': len(other),
                'why': 'Holds an Entra role that is limited or not privileged: ' || some_of(other) || '.'}
        ], max_depth := 2)
    FROM roles
)

SELECT * FROM permission_parts WHERE units > 0
UNION ALL
SELECT * FROM role_parts WHERE units > 0
