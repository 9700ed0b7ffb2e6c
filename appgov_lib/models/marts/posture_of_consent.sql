-- grain: setting that decides who may give consent, and to what
-- source: stg_authorization_policy, consent_policy_widths
WITH words AS (
    SELECT * FROM (VALUES
        ('none', 'safe', 0, 'lets nothing in'),
        ('low', 'safe', 1, 'lets in permissions classed as low, of verified publishers and of this tenant'),
        ('verified', 'weak', 3, 'lets in more than low permissions, of verified publishers or chosen apps'),
        ('chosen', 'weak', 4, 'lets in chosen permissions of any app, verified or not'),
        ('managed', 'weak', 2, 'lets in what Microsoft holds to be harmless today, also of publishers nobody verified'),
        ('any', 'risky', 6, 'lets in every permission a user can give, of any app'),
        ('unknown', 'unknown', 5, 'is not among the policies that were read')
    ) AS t (width, verdict, rank, phrase)
),

given AS (
    SELECT
        string_agg(p.policy_id, ', ' ORDER BY p.policy_id) AS names,
        arg_max(w.verdict, w.rank) AS verdict,
        string_agg(p.policy_id || ' ' || w.phrase, '; ' ORDER BY p.policy_id) AS phrase
    FROM consent_policy_widths AS p
    INNER JOIN words AS w ON w.width = p.width
    WHERE p.is_for_users
),

owners AS (
    SELECT
        string_agg(policy_id, ', ' ORDER BY policy_id) AS names,
        bool_and(policy_id LIKE 'microsoft-pre-approval%') AS only_approved,
        bool_and(policy_id LIKE 'microsoft-pre-approval%' OR policy_id LIKE 'microsoft-dynamically-managed%')
            AS only_managed
    FROM consent_policy_widths
    WHERE is_for_owners
),

own AS (
    SELECT
        count(*) AS policies,
        count(*) FILTER (w.width IN ('verified', 'chosen', 'any')) AS wide,
        bool_or(w.width = 'any' AND p.is_for_users) AS risky,
        string_agg(p.policy_id || ' ' || w.phrase, '; ' ORDER BY p.policy_id)
            FILTER (w.width IN ('verified', 'chosen', 'any')) AS phrase
    FROM consent_policy_widths AS p
    INNER JOIN words AS w ON w.width = p.width
    WHERE p.is_custom AND p.is_listed
)

SELECT
    'user_consent' AS setting_id,
    CASE WHEN p.user_consent_policies IS NOT NULL THEN coalesce(g.names, 'none') END AS value,
    CASE
        WHEN p.user_consent_policies IS NULL THEN 'unknown'
        ELSE coalesce(g.verdict, 'safe')
    END AS verdict,
    CASE
        WHEN p.user_consent_policies IS NULL THEN 'The authorization policy does not name the policies of users.'
        WHEN g.names IS NULL THEN 'Users may not consent to any app by themselves.'
        ELSE 'Users may consent by themselves: the policy ' || g.phrase || '.'
    END AS reason
FROM (SELECT * FROM stg_authorization_policy ORDER BY policy_id LIMIT 1) AS p
CROSS JOIN given AS g
UNION ALL
SELECT
    'team_and_chat_consent',
    CASE WHEN p.user_consent_policies IS NOT NULL THEN coalesce(o.names, 'none') END,
    CASE
        WHEN p.user_consent_policies IS NULL THEN 'unknown'
        WHEN o.names IS NULL OR o.only_approved THEN 'safe'
        WHEN o.only_managed THEN 'weak'
        ELSE 'risky'
    END,
    CASE
        WHEN p.user_consent_policies IS NULL THEN 'The authorization policy does not name the policies of owners.'
        WHEN o.names IS NULL THEN 'Owners of teams and members of chats may not let apps in.'
        WHEN o.only_approved THEN 'Owners of teams and members of chats may let in approved apps: ' || o.names || '.'
        WHEN o.only_managed
            THEN 'Owners of teams and members of chats may let apps in within Microsoft''s bounds: ' || o.names || '.'
        ELSE 'Owners of teams and members of chats may let apps in: ' || o.names || '.'
    END
FROM (SELECT * FROM stg_authorization_policy ORDER BY policy_id LIMIT 1) AS p
CROSS JOIN owners AS o
UNION ALL
SELECT
    'permission_grant_policies',
    concat(policies, ' of its own, ', wide, ' wider than low permissions'),
    CASE WHEN wide = 0 THEN 'safe' WHEN risky THEN 'risky' ELSE 'weak' END,
    CASE
        WHEN policies = 0 THEN 'The tenant has only the policies that Microsoft built in.'
        WHEN wide = 0 THEN 'None of them allows more than low permissions of known apps.'
        ELSE phrase
            || CASE WHEN risky THEN ', and all users have it.' ELSE '; who holds it by a role was not read.' END
    END
FROM own
ORDER BY setting_id
