-- grain: setting that limits secrets and certificates of all apps
-- source: stg_default_app_management_policy, credential_rules, stg_applications, coverage
WITH policy AS (
    SELECT is_enabled FROM stg_default_app_management_policy ORDER BY policy_id LIMIT 1
),

-- Rules look at the day the object was created.
objects AS (
    SELECT 'application' AS object_kind, 'registrations' AS noun, created_at FROM stg_applications
    SEMI JOIN (FROM coverage WHERE source = 'applications' AND status = 'complete') ON true
    UNION ALL
    SELECT 'service_principal', 'enterprise applications', created_at FROM stg_service_principals
    SEMI JOIN (FROM coverage WHERE source = 'service_principals' AND status = 'complete') ON true
),

wanted AS (
    SELECT * FROM (VALUES
        ('secret_addition', 'application', 'passwordAddition', NULL, 'New secrets of app registrations'),
        ('secret_lifetime', 'application', 'passwordLifetime', 180, 'New secrets of app registrations'),
        ('certificate_lifetime', 'application', 'asymmetricKeyLifetime', 365, 'New certificates of app registrations'),
        ('service_principal_secret_addition', 'service_principal', 'passwordAddition', NULL,
            'New secrets of enterprise applications')
    ) AS t (setting_id, object_kind, rule_type, good_days, subject)
),

judged AS (
    SELECT
        w.*,
        r.rule_type IS NOT NULL AS has_rule,
        r.lifetime_days,
        r.applies_after,
        -- apps that are older than the rule go on as before
        count(o.object_kind) AS apps,
        count(*) FILTER (o.created_at < r.applies_after) AS exempt,
        any_value(o.noun) AS noun
    FROM wanted AS w
    CROSS JOIN policy
    LEFT JOIN objects AS o ON o.object_kind = w.object_kind
    LEFT JOIN credential_rules AS r
        ON r.holder = 'tenant' AND r.object_kind = w.object_kind AND r.rule_type = w.rule_type
    GROUP BY ALL
)

SELECT
    'app_management_policy' AS setting_id,
    CASE is_enabled WHEN true THEN 'on' WHEN false THEN 'off' END AS value,
    CASE is_enabled WHEN true THEN 'safe' WHEN false THEN 'weak' ELSE 'unknown' END AS verdict,
    CASE is_enabled
        WHEN true THEN 'The tenant has rules for secrets and certificates.'
        WHEN false THEN 'No rule of the tenant limits secrets and certificates of apps.'
        ELSE 'The policy does not say whether it is on.'
    END AS reason
FROM policy
UNION ALL
SELECT
    setting_id,
    CASE WHEN NOT has_rule THEN 'no rule' ELSE
        coalesce(lifetime_days || ' days', CASE WHEN rule_type = 'passwordAddition' THEN 'blocked' ELSE 'a rule' END)
        || coalesce(', apps created after ' || strftime(applies_after, '%Y-%m-%d'), '')
    END,
    CASE
        WHEN NOT has_rule THEN 'weak'
        WHEN good_days IS NOT NULL AND coalesce(lifetime_days, 99999) > good_days THEN 'weak'
        WHEN exempt > 0 THEN 'weak'
        WHEN applies_after IS NOT NULL AND apps = 0 THEN 'unknown'
        ELSE 'safe'
    END,
    subject || CASE
        WHEN NOT has_rule THEN ' are not limited by the tenant.'
        ELSE CASE WHEN rule_type = 'passwordAddition' THEN ' are blocked'
            ELSE ' live ' || coalesce(lifetime_days || ' days at most', 'as long as the rule says') END
            || CASE WHEN applies_after IS NULL THEN '.' ELSE ' for apps created after '
                || strftime(applies_after, '%Y-%m-%d') || '; '
                || CASE WHEN apps = 0 THEN 'how many are older and exempt is not known.'
                    ELSE concat(exempt, ' of ', apps, ' ', noun, ' are older and exempt.') END END
    END
FROM judged
ORDER BY setting_id
