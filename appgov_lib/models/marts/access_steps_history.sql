-- grain: access that came or went between two readings, or that the audit log dates
-- source: access_times_history, app_names_history, stg_users, stg_directory_role_assignments, ref_privileged_roles
WITH role_names AS (
    SELECT role_definition_id, min(role_name) AS role_name FROM stg_directory_role_assignments GROUP BY ALL
),

steps AS (
    SELECT
        *,
        'added' AS change,
        -- a date before the last reading without it would be that of an earlier life
        coalesce(begun_at, CASE WHEN valid_from > began_after THEN valid_from END, first_read_at) AS changed_at,
        began_after AS seen_from,
        first_read_at AS seen_at,
        begun_at AS event_at,
        begun_by_id AS actor_id,
        begun_by_name AS actor_name
    FROM access_times_history
    -- what the first reading showed is where history starts; only the audit log can tell that it was new then
    WHERE began_after IS NOT NULL OR begun_at IS NOT NULL
    UNION ALL BY NAME
    SELECT
        *,
        'removed' AS change,
        valid_to AS changed_at,
        ended_after AS seen_from,
        missed_at AS seen_at,
        CASE WHEN valid_to_source = 'audit log' THEN valid_to END AS event_at,
        ended_by_id AS actor_id,
        ended_by_name AS actor_name
    FROM access_times_history
    WHERE missed_at IS NOT NULL
),

named AS (
    SELECT
        s.*,
        coalesce(r.display_name, s.related_id) AS resource_name,
        coalesce(u.user_principal_name, s.principal_id) AS user_name,
        coalesce(n.role_name, p.role_name, s.value) AS role_name,
        CASE WHEN s.source IN ('applications', 'application_owners', 'federated_credentials')
            THEN 'app registration' ELSE 'enterprise application' END AS held_on
    FROM steps AS s
    LEFT JOIN app_names_history AS r ON r.object_id = s.related_id AND s.kind IN ('delegated', 'application')
    LEFT JOIN stg_users AS u ON u.user_id = s.principal_id
    LEFT JOIN role_names AS n ON n.role_definition_id = s.value AND s.kind = 'role'
    LEFT JOIN ref_privileged_roles AS p ON p.role_definition_id = s.value AND s.kind = 'role'
),

told AS (
    SELECT
        *,
        CASE kind
            WHEN 'credential' THEN credential_type || coalesce(' "' || name || '"', '') || ', key ' || value
            WHEN 'owner' THEN coalesce(name, value)
            WHEN 'role' THEN role_name
            ELSE value || ' of ' || coalesce(resource_name, 'an unknown resource')
        END AS subject,
        CASE kind
            WHEN 'credential' THEN 'on the ' || held_on || coalesce(', valid until ' || strftime(ends_at, '%Y-%m-%d'), '')
            WHEN 'owner' THEN 'owner of the ' || held_on
            WHEN 'role' THEN CASE scope WHEN '/' THEN 'over the whole tenant' ELSE coalesce('over ' || scope, 'scope unknown') END
            WHEN 'application' THEN 'without a user'
            ELSE CASE consent_type WHEN 'Principal' THEN 'for ' || coalesce(user_name, 'one user') ELSE 'for everybody' END
        END AS held
    FROM named
)

SELECT
    CASE kind
        WHEN 'delegated' THEN 'delegated_grant'
        WHEN 'application' THEN 'application_permission'
        WHEN 'role' THEN 'directory_role'
        ELSE kind
    END AS kind,
    change,
    source AS read_from,
    holder_id AS object_id,
    object_key || ' ' || value AS part,
    subject,
    CASE change WHEN 'removed' THEN held END AS before,
    CASE change WHEN 'added' THEN held END AS after,
    changed_at,
    seen_from,
    seen_at,
    event_at,
    actor_id,
    actor_name
FROM told
