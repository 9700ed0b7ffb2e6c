-- grain: permission held (service principal x resource x permission x type)
-- source: consent_grants, permission_judgements, app_resource_usage
-- A permission counts the calls of its own kind: with a user for delegated, without one for application.
WITH judged AS (
    SELECT
        g.*,
        coalesce(g.resource_app_id = '00000003-0000-0000-c000-000000000000', false) AS is_graph,
        j.privilege_level,
        j.level_reason,
        j.service,
        j.resource_types,
        j.access,
        -- a right to send or create only is not shown by a read
        j.access = 'write'
            AND NOT regexp_matches(g.permission, '\.(Send|Create|Invite|Initiate|Upload)(\.|$)') AS also_reads
    FROM consent_grants AS g
    LEFT JOIN permission_judgements AS j
        ON j.permission = g.permission
        AND j.permission_type = g.permission_type
        AND j.resource_app_id IS NOT DISTINCT FROM g.resource_app_id
),

matching AS (
    SELECT
        j.*,
        u.calls,
        u.good_reads,
        u.good_writes,
        u.last_good_read_at,
        u.last_good_write_at,
        -- a log that does not tell whether a user was there counts for both kinds
        coalesce(u.is_app_only = (j.permission_type = 'application'), true) AS is_own_kind
    FROM judged AS j
    LEFT JOIN app_resource_usage AS u
        ON j.is_graph AND u.app_id = j.app_id AND list_contains(j.resource_types, u.resource_type)
)

SELECT
    service_principal_id,
    resource_id,
    permission,
    permission_type,
    any_value(is_graph) AS is_graph,
    any_value(privilege_level) AS privilege_level,
    any_value(level_reason) AS level_reason,
    any_value(service) AS service,
    any_value(resource_types) AS resource_types,
    any_value(access) AS access,
    CAST(coalesce(sum(calls), 0) AS BIGINT) AS family_calls,
    CAST(coalesce(sum(CASE
        WHEN NOT is_own_kind THEN 0
        WHEN access = 'read' THEN good_reads
        WHEN also_reads THEN good_reads + good_writes
        ELSE good_writes
    END), 0) AS BIGINT) AS good_calls,
    max(CASE
        WHEN NOT is_own_kind THEN NULL
        WHEN access = 'read' THEN last_good_read_at
        WHEN also_reads THEN greatest(last_good_read_at, last_good_write_at)
        ELSE last_good_write_at
    END) AS last_good_at
FROM matching
GROUP BY service_principal_id, resource_id, permission, permission_type
ORDER BY service_principal_id, resource_id, permission_type, permission
