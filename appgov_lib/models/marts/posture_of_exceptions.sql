-- grain: setting that lets apps out of a rule, or guards them beyond it
-- source: stg_app_management_policies, credential_rules, stg_conditional_access_policies
-- An app with an exception is held by it alone: what the exception leaves out is open.
WITH exceptions AS (
    SELECT
        p.policy_id,
        p.display_name,
        bool_or(
            w.rule_type IS NOT NULL
            AND (t.rule_type IS NULL OR coalesce(t.lifetime_days, 0) > coalesce(w.lifetime_days, 99999))
            -- where no secret can be added, its lifetime does not matter
            AND NOT (w.rule_type = 'passwordLifetime' AND a.rule_type IS NOT NULL)
        ) AS is_looser
    FROM stg_app_management_policies AS p
    LEFT JOIN credential_rules AS w ON w.holder = 'tenant' AND w.object_kind = 'application'
    LEFT JOIN credential_rules AS t
        ON t.holder = 'exception' AND t.policy_id = p.policy_id AND t.rule_type = w.rule_type
    LEFT JOIN credential_rules AS a
        ON a.holder = 'exception' AND a.policy_id = p.policy_id AND a.rule_type = 'passwordAddition'
    WHERE p.is_enabled
    GROUP BY ALL
),

sums AS (
    SELECT
        count(*) AS policies,
        count(*) FILTER (is_looser) AS looser,
        string_agg(coalesce(display_name, policy_id), ', ' ORDER BY policy_id) FILTER (is_looser) AS names
    FROM exceptions
),

workload AS (
    SELECT
        count(*) FILTER (state = 'enabled') AS in_force,
        count(*) FILTER (state = 'enabledForReportingButNotEnforced') AS reporting
    FROM stg_conditional_access_policies
    WHERE is_for_workload_identities
)

SELECT
    'app_management_exceptions' AS setting_id,
    CASE WHEN policies = 0 THEN 'none' ELSE concat(policies, ' in force, ', looser, ' looser') END,
    CASE WHEN looser > 0 THEN 'weak' ELSE 'safe' END,
    CASE
        WHEN policies = 0 THEN 'The same rules hold for all apps.'
        WHEN looser = 0 THEN 'The exceptions in force are at least as strict as the rules of the tenant.'
        ELSE 'Looser than the rules of the tenant: ' || names || '.'
    END
FROM sums
UNION ALL
SELECT
    'workload_conditional_access',
    concat(in_force, ' in force, ', reporting, ' only reporting'),
    CASE WHEN in_force > 0 THEN 'safe' ELSE 'weak' END,
    CASE
        WHEN in_force > 0 THEN 'Conditional Access checks apps that sign in as themselves.'
        WHEN reporting > 0 THEN 'The policies for apps that sign in as themselves report, but stop nothing.'
        ELSE 'No Conditional Access policy is for apps that sign in as themselves.'
    END
FROM workload
ORDER BY setting_id
