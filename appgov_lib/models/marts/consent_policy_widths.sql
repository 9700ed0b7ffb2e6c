-- grain: permission grant policy that is listed, or given to all users
-- source: stg_permission_grant_policies, stg_authorization_policy, consent_condition_sets
WITH assigned AS (
    SELECT DISTINCT
        -- 'ManagePermissionGrantsForSelf.<policy>': users for themselves; '...ForOwnedResource.<policy>': teams, chats
        regexp_extract(lower(entry), '^managepermissiongrantsfor(self|ownedresource)\.(.+)$', 1) AS scope,
        regexp_extract(lower(entry), '^managepermissiongrantsfor(self|ownedresource)\.(.+)$', 2) AS policy_id
    FROM (SELECT unnest(user_consent_policies) AS entry FROM stg_authorization_policy)
),

given AS (
    SELECT policy_id, bool_or(scope = 'self') AS to_users, bool_or(scope = 'ownedresource') AS to_owners
    FROM assigned
    WHERE policy_id <> ''
    GROUP BY policy_id
),

listed AS (
    SELECT
        lower(p.policy_id) AS policy_id,
        any_value(p.display_name) AS display_name,
        -- the widest set that allows; what a policy excludes does not make it harmless
        max(CASE c.width WHEN 'any' THEN 4 WHEN 'chosen' THEN 3 WHEN 'verified' THEN 2 WHEN 'low' THEN 1 END) AS rank
    FROM stg_permission_grant_policies AS p
    LEFT JOIN consent_condition_sets AS c ON c.policy_id = p.policy_id AND c.effect = 'include'
    GROUP BY lower(p.policy_id)
)

SELECT
    coalesce(l.policy_id, g.policy_id) AS policy_id,
    l.display_name,
    l.policy_id IS NOT NULL AS is_listed,
    NOT starts_with(coalesce(l.policy_id, g.policy_id), 'microsoft-') AS is_custom,
    coalesce(g.to_users, false) AS is_for_users,
    coalesce(g.to_owners, false) AS is_for_owners,
    CASE coalesce(l.policy_id, g.policy_id)
        WHEN 'microsoft-user-default-low' THEN 'low'
        WHEN 'microsoft-user-default-legacy' THEN 'any'
        WHEN 'microsoft-user-default-recommended' THEN 'managed'
        WHEN 'microsoft-user-default-allow-consent-apps' THEN 'managed'
        ELSE coalesce(
            ['low', 'verified', 'chosen', 'any'][l.rank],
            CASE WHEN l.policy_id IS NOT NULL THEN 'none' ELSE 'unknown' END
        )
    END AS width
FROM listed AS l
FULL JOIN given AS g ON g.policy_id = l.policy_id
ORDER BY policy_id
