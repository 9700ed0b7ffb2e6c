-- grain: permission held (service principal x resource x permission x type)
-- source: consent_grants, permission_usage, permission_obstacles, permission_redundancy, stg_applications
-- "used" needs a call that was served, "unused" a window in which nothing could have been missed; the rest is unknown.
WITH manifest AS (
    SELECT
        app_id,
        guid(permission ->> '$.id') AS permission_id
    FROM (
        SELECT app_id, unnest(items(resource -> '$.resourceAccess')) AS permission
        FROM (SELECT app_id, unnest(items(required_resource_access)) AS resource FROM stg_applications)
    )
    GROUP BY ALL
),

registered AS (
    SELECT DISTINCT app_id
    FROM stg_applications
    WHERE app_id IS NOT NULL
),

-- What the logs say by themselves, and by what.
own AS (
    SELECT
        u.*,
        o.* EXCLUDE (service_principal_id, resource_id, permission, permission_type),
        CASE
            WHEN u.good_calls > 0 THEN 'endpoint map'
            WHEN u.family_calls > 0 THEN 'family'
            WHEN o.signed_in_at IS NOT NULL THEN 'sign-in'
        END AS proof
    FROM permission_usage AS u
    INNER JOIN permission_obstacles AS o USING (service_principal_id, resource_id, permission, permission_type)
),

verdicts AS (
    SELECT
        *,
        CASE
            WHEN proof IS NOT NULL OR microsoft_in_use THEN 'used'
            WHEN obstacle IS NULL THEN 'unused'
            ELSE 'unknown'
        END AS usage,
        CASE
            WHEN proof IS NOT NULL THEN proof
            WHEN microsoft_in_use THEN 'microsoft'
            WHEN obstacle IS NULL THEN 'endpoint map'
        END AS verdict_basis,
        microsoft_in_use <> CASE WHEN proof IS NOT NULL THEN true WHEN obstacle IS NULL THEN false END AS differs
    FROM own
)

SELECT
    g.service_principal_id,
    g.app_id,
    g.resource_id,
    g.resource_name,
    g.permission,
    g.permission_id,
    g.permission_type,
    g.consent_type,
    g.consented_users,
    v.privilege_level,
    v.level_reason,
    v.service,
    v.access,
    v.usage,
    CASE
        WHEN v.proof = 'endpoint map' THEN concat(
            'calls served that this permission allows, in the 30 days to ', CAST($as_of AS DATE), ': ', v.good_calls,
            CASE WHEN NOT v.is_sure THEN '; the log does not tell whether a user was behind them' ELSE '' END
        )
        WHEN v.proof = 'family' THEN concat(
            'calls served of this family that the endpoint map does not know, in the 30 days to ',
            CAST($as_of AS DATE), ': ', v.family_calls
        )
        WHEN v.proof = 'sign-in' THEN 'users signed in to the app, last on ' || CAST(v.signed_in_at AS DATE)
        WHEN v.microsoft_in_use THEN 'Microsoft counts it as used in the last 90 days'
        ELSE coalesce(v.obstacle, concat(
            'no call that needs this permission in the 30 days to ', CAST($as_of AS DATE),
            CASE WHEN v.is_age_assumed
                THEN '; the date of the grant is not known, the app is older than that' ELSE '' END
        ))
    END AS usage_reason,
    v.verdict_basis,
    coalesce(v.last_good_at, v.family_last_at, v.signed_in_at) AS last_used_at,
    -- 0 only where nothing could have been missed
    CASE
        WHEN v.proof = 'endpoint map' THEN v.good_calls
        WHEN v.proof = 'family' THEN v.family_calls
        WHEN v.is_graph AND v.window_coverage = 'complete' AND v.unmatched_calls = 0 THEN 0
    END AS calls,
    v.proving_endpoints,
    v.unmatched_calls,
    CAST($as_of AS DATE) - 29 AS window_from,
    CAST($as_of AS DATE) AS window_to,
    CASE WHEN v.is_graph THEN v.window_coverage ELSE 'none' END AS window_coverage,
    v.microsoft_in_use,
    coalesce(v.differs, false) AS microsoft_verdict_differs,
    r.covered_by IS NOT NULL AS is_redundant,
    'the smaller permission ' || r.covered_by || ', also held, allows every call seen' AS redundant_reason,
    CASE WHEN a.app_id IS NOT NULL AND g.permission_id IS NOT NULL THEN m.permission_id IS NOT NULL END AS in_manifest,
    g.granted_at
FROM consent_grants AS g
INNER JOIN verdicts AS v USING (service_principal_id, resource_id, permission, permission_type)
LEFT JOIN permission_redundancy AS r
    ON v.is_graph
    AND r.service_principal_id = g.service_principal_id
    AND r.permission = g.permission
    AND r.permission_type = g.permission_type
LEFT JOIN registered AS a ON a.app_id = g.app_id
LEFT JOIN manifest AS m ON m.app_id = g.app_id AND m.permission_id = g.permission_id
ORDER BY g.service_principal_id, g.resource_id, g.permission_type, g.permission
