-- grain: rule for credentials in force (policy x kind of object x kind of rule)
-- source: stg_default_app_management_policy, stg_app_management_policies
WITH lists AS (
    SELECT
        policy_id,
        'tenant' AS holder,
        'application' AS object_kind,
        unnest(items(application_password_rules)) AS rule
    FROM stg_default_app_management_policy WHERE is_enabled
    UNION ALL
    SELECT policy_id, 'tenant', 'application', unnest(items(application_key_rules))
    FROM stg_default_app_management_policy WHERE is_enabled
    UNION ALL
    SELECT policy_id, 'tenant', 'service_principal', unnest(items(service_principal_password_rules))
    FROM stg_default_app_management_policy WHERE is_enabled
    UNION ALL
    SELECT policy_id, 'tenant', 'service_principal', unnest(items(service_principal_key_rules))
    FROM stg_default_app_management_policy WHERE is_enabled
    UNION ALL
    SELECT policy_id, 'exception', 'application', unnest(items(password_rules))
    FROM stg_app_management_policies WHERE is_enabled
    UNION ALL
    SELECT policy_id, 'exception', 'application', unnest(items(key_rules))
    FROM stg_app_management_policies WHERE is_enabled
),

rules AS (
    SELECT
        policy_id,
        holder,
        object_kind,
        rule ->> '$.restrictionType' AS rule_type,
        rule ->> '$.maxLifetime' AS lifetime,
        to_utc(rule ->> '$.restrictForAppsCreatedAfterDateTime') AS applies_after
    FROM lists
    -- before states were introduced a rule that was there was in force
    WHERE coalesce(rule ->> '$.state', 'enabled') = 'enabled'
)

SELECT
    policy_id,
    holder,
    object_kind,
    rule_type,
    -- ISO 8601, such as P90D or P4DT12H: whole days, a part of a day counts as one
    min(CASE WHEN regexp_matches(lifetime, '^P[0-9]') OR starts_with(lifetime, 'PT') THEN
        coalesce(TRY_CAST(regexp_extract(lifetime, '^P[^T]*?([0-9]+)Y', 1) AS INTEGER), 0) * 365
        + coalesce(TRY_CAST(regexp_extract(lifetime, '^P[^T]*?([0-9]+)M', 1) AS INTEGER), 0) * 30
        + coalesce(TRY_CAST(regexp_extract(lifetime, '^P[^T]*?([0-9]+)W', 1) AS INTEGER), 0) * 7
        + coalesce(TRY_CAST(regexp_extract(lifetime, '^P[^T]*?([0-9]+)D', 1) AS INTEGER), 0)
        + CAST(contains(lifetime, 'T') AS INTEGER)
    END) AS lifetime_days,
    min(applies_after) AS applies_after
FROM rules
WHERE rule_type IS NOT NULL
GROUP BY ALL
ORDER BY holder, policy_id, object_kind, rule_type
