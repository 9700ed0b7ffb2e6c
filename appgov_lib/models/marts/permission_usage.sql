-- grain: permission held (service principal x resource x permission x type)
-- source: consent_grants, permission_judgements, permission_calls, app_calls, stg_oauth_app_info, stg_sign_ins
-- The evidence of the 30 days that end with $as_of, before any verdict.
WITH proved AS (
    SELECT
        service_principal_id,
        resource_id,
        permission,
        permission_type,
        CAST(sum(calls) AS BIGINT) AS good_calls,
        CAST(sum(refused_calls) AS BIGINT) AS refused_calls,
        max(last_called_at) AS last_good_at,
        bool_or(is_sure) FILTER (calls > 0) AS is_sure,
        list(
            concat(method, ' ', endpoint, ' (', calls, ')') ORDER BY calls DESC, endpoint, method
        ) FILTER (calls > 0)[1:5] AS proving_endpoints
    FROM permission_calls
    GROUP BY ALL
),

-- Calls the endpoint map does not know prove by family: mail calls prove a mail permission.
families AS (
    SELECT app_id, permission_type, resource_type, access, sum(served_calls) AS calls,
        max(last_served_at) AS last_good_at
    FROM app_calls
    WHERE is_unmatched AND served_calls > 0
    GROUP BY ALL
),

judged AS (
    SELECT
        g.*,
        coalesce(g.resource_app_id = '00000003-0000-0000-c000-000000000000', false) AS is_graph,
        j.privilege_level,
        j.level_reason,
        j.service,
        j.access,
        j.resource_types,
        -- a right to send or create only is not shown by a read
        j.access = 'write'
            AND NOT regexp_matches(g.permission, '\.(Send|Create|Invite|Initiate|Upload)(\.|$)') AS also_reads
    FROM consent_grants AS g
    LEFT JOIN permission_judgements AS j
        ON j.permission = g.permission
        AND j.permission_type = g.permission_type
        AND j.resource_app_id IS NOT DISTINCT FROM g.resource_app_id
),

by_family AS (
    SELECT
        j.service_principal_id,
        j.resource_id,
        j.permission,
        j.permission_type,
        CAST(sum(f.calls) AS BIGINT) AS family_calls,
        max(f.last_good_at) AS family_last_at
    FROM (SELECT * EXCLUDE (resource_types), unnest(resource_types) AS resource_type FROM judged WHERE is_graph) AS j
    INNER JOIN families AS f
        ON f.app_id = j.app_id
        AND f.permission_type = j.permission_type
        AND f.resource_type = j.resource_type
        AND (f.access = j.access OR j.also_reads)
    GROUP BY ALL
),

microsoft AS (
    SELECT app_id, lower(p.permission_type) AS permission_type, p.permission,
        coalesce(p.resource_app_id, '00000003-0000-0000-c000-000000000000') AS resource_app_id,
        bool_or(p.in_use) AS in_use
    FROM (
        SELECT app_id, unnest(from_json(permissions, '[{"permission": "VARCHAR", "permission_type": "VARCHAR",
            "in_use": "BOOLEAN", "resource_app_id": "VARCHAR"}]')) AS p
        FROM stg_oauth_app_info
    )
    WHERE p.in_use IS NOT NULL
    GROUP BY ALL
),

tokens AS (
    SELECT app_id, resource_id, max(created_at) AS last_at
    FROM stg_sign_ins
    SEMI JOIN (SELECT DISTINCT resource_app_id FROM judged WHERE NOT is_graph) AS asked
        ON asked.resource_app_id = resource_id
    WHERE error_code = 0 AND created_at >= CAST($as_of AS DATE) - 29 AND created_at < CAST($as_of AS DATE) + 1
    GROUP BY ALL
)

SELECT
    j.service_principal_id,
    j.resource_id,
    j.permission,
    j.permission_type,
    j.is_graph,
    j.privilege_level,
    j.level_reason,
    j.service,
    j.access,
    coalesce(p.good_calls, 0) AS good_calls,
    coalesce(p.refused_calls, 0) AS refused_calls,
    p.last_good_at,
    p.is_sure,
    coalesce(p.proving_endpoints, []) AS proving_endpoints,
    coalesce(f.family_calls, 0) AS family_calls,
    f.family_last_at,
    m.in_use AS microsoft_in_use,
    t.last_at AS token_at
FROM judged AS j
LEFT JOIN proved AS p USING (service_principal_id, resource_id, permission, permission_type)
LEFT JOIN by_family AS f USING (service_principal_id, resource_id, permission, permission_type)
LEFT JOIN microsoft AS m USING (app_id, resource_app_id, permission, permission_type)
LEFT JOIN tokens AS t ON t.app_id = j.app_id AND t.resource_id = j.resource_app_id AND NOT j.is_graph
