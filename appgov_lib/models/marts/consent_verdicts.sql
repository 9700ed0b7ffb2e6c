-- grain: app x API x delegated permission that a user gave (service principal x resource x permission)
-- source: consent_asks, stg_authorization_policy, consent_policy_widths, consent_condition_sets, coverage
-- Would the policies of users let it in today? NULL where a condition cannot be judged.
WITH setting AS (
    SELECT
        coalesce(bool_or(c.status = 'complete'), false) AND count(p.user_consent_policies) > 0 AS is_known,
        coalesce(bool_or(g.status = 'complete'), false) AS lists_are_known
    FROM (SELECT * FROM coverage WHERE source = 'authorization_policy') AS c
    LEFT JOIN (SELECT * FROM coverage WHERE source = 'permission_grant_policies') AS g ON true
    LEFT JOIN stg_authorization_policy AS p ON true
),

-- 2 matches, 1 cannot be judged, 0 does not match
matches AS (
    SELECT
        a.service_principal_id,
        a.resource_id,
        a.permission,
        w.policy_id,
        w.is_listed,
        s.effect,
        s.classification <> 'all' AS asks_for_class,
        CASE (
            CASE s.permission_type
                WHEN 'delegated' THEN CASE WHEN a.needs_admin THEN NULL ELSE true END
                WHEN 'delegatedUserConsentable' THEN NOT a.needs_admin
                ELSE false
            END
            -- how the tenant classes its permissions is not read
            AND CASE WHEN s.classification <> 'all' THEN NULL ELSE true END
            AND (s.resource_app_id = 'any' OR s.resource_app_id = a.resource_app_id)
            AND (s.permission_ids IS NULL OR list_contains(s.permission_ids, a.permission_id))
            AND (s.client_app_ids IS NULL OR list_contains(s.client_app_ids, a.client_app_id))
            AND (s.client_tenant_ids IS NULL OR list_contains(s.client_tenant_ids, a.app_owner_tenant_id))
            AND (s.client_publisher_ids IS NULL
                OR coalesce(list_contains(s.client_publisher_ids, lower(a.verified_publisher_id)), false))
            AND (NOT s.verified_only OR a.verified_publisher_id IS NOT NULL)
        ) WHEN true THEN 2 WHEN false THEN 0 ELSE 1 END AS match
    FROM consent_asks AS a
    CROSS JOIN (FROM consent_policy_widths WHERE is_for_users) AS w
    LEFT JOIN consent_condition_sets AS s ON lower(s.policy_id) = w.policy_id
),

by_policy AS (
    SELECT
        service_principal_id,
        resource_id,
        permission,
        policy_id,
        bool_or(coalesce(asks_for_class, false)) AS asks_for_class,
        CASE
            WHEN NOT any_value(is_listed) THEN 1
            WHEN coalesce(max(match) FILTER (effect = 'exclude'), 0) = 2 THEN 0
            WHEN coalesce(max(match) FILTER (effect = 'exclude'), 0) = 1
                THEN least(1, coalesce(max(match) FILTER (effect = 'include'), 0))
            ELSE coalesce(max(match) FILTER (effect = 'include'), 0)
        END AS match
    FROM matches
    GROUP BY ALL
),

-- Every app is asked against all of them, so their names are put together once.
policies_of_users AS (
    SELECT string_agg(DISTINCT policy_id, ', ' ORDER BY policy_id) AS policies
    FROM consent_policy_widths
    WHERE is_for_users
),

-- one policy that allows is enough
any_policy AS (
    SELECT
        service_principal_id,
        resource_id,
        permission,
        max(match) AS match,
        bool_or(asks_for_class) AS asks_for_class,
        max(s.policies) AS policies
    FROM by_policy
    CROSS JOIN policies_of_users AS s
    GROUP BY ALL
)

SELECT
    a.service_principal_id,
    a.resource_id,
    a.permission,
    CASE
        WHEN NOT s.is_known THEN NULL
        WHEN a.assignment_required OR p.policies IS NULL OR p.match = 0 THEN false
        WHEN p.match = 2 THEN true
    END AS is_open,
    CASE
        WHEN NOT s.is_known THEN 'what users may consent to was not read'
        WHEN p.policies IS NULL THEN 'users may not consent to apps by themselves'
        WHEN a.assignment_required THEN 'the app requires assignment, so only an administrator may consent'
        WHEN p.match = 2 THEN 'users may still give it (' || p.policies || ')'
        WHEN p.match = 0 THEN 'the policy of users does not allow it for this app (' || p.policies || ')'
        WHEN NOT s.lists_are_known THEN 'the conditions of the policy of users were not read (' || p.policies || ')'
        WHEN p.asks_for_class
            THEN 'it depends on whether the tenant classes it as low, which was not read (' || p.policies || ')'
        ELSE 'a condition of the policy of users could not be judged (' || p.policies || ')'
    END AS why
FROM consent_asks AS a
CROSS JOIN setting AS s
LEFT JOIN any_policy AS p USING (service_principal_id, resource_id, permission)
