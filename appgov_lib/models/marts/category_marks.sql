-- grain: category x app (service principal that is neither Microsoft's own nor a managed identity)
-- source: app_inventory, app_permissions, coverage
WITH days AS (
    SELECT CAST($as_of AS DATE) + 1 AS day_after
),

report AS (
    SELECT coalesce(bool_or(status = 'complete'), false) AS is_complete
    FROM coverage
    WHERE source = 'service_principal_sign_in_activities'
),

permissions AS (
    SELECT
        service_principal_id,
        -- low permissions count too: the product does the same
        CASE WHEN bool_or(usage = 'unused') THEN true WHEN bool_and(usage = 'used') THEN false END AS has_unused,
        bool_or(permission_type = 'application') AS has_application
    FROM app_permissions
    GROUP BY service_principal_id
),

apps AS (
    SELECT
        i.service_principal_id,
        i.app_id,
        i.display_name,
        i.publisher_verified,
        i.app_origin,
        i.privilege_level,
        i.risk_score,
        i.permission_count,
        p.has_unused,
        p.has_application,
        d.day_after,
        i.created_at,
        -- silence says something only of an app that was there, and where the report of last sign-ins is whole
        CASE
            WHEN i.last_used_at >= d.day_after - 30 THEN 0
            WHEN i.last_used_at IS NULL AND i.created_at >= d.day_after - 30 THEN 0
            WHEN r.is_complete THEN date_diff('day', coalesce(i.last_used_at, i.created_at), d.day_after)
        END AS idle_days,
        i.last_used_at >= d.day_after - 90 AS is_in_use
    FROM app_inventory AS i
    CROSS JOIN days AS d
    CROSS JOIN report AS r
    LEFT JOIN permissions AS p ON p.service_principal_id = i.service_principal_id
    WHERE i.is_first_party IS NOT TRUE AND i.service_principal_type IS DISTINCT FROM 'ManagedIdentity'
),

marks AS (
    SELECT
        service_principal_id,
        app_id,
        display_name,
        unnest([
            {'category': 'all', 'is_in': true},
            {'category': 'highly_privileged', 'is_in': privilege_level = 'high'},
            -- 40 is where a risk score is called high
            {'category': 'risky', 'is_in': risk_score >= 40},
            {'category': 'overprivileged', 'is_in': CASE WHEN permission_count = 0 THEN false ELSE has_unused END},
            {'category': 'unused', 'is_in': CASE WHEN is_in_use THEN false ELSE idle_days > 90 END},
            {'category': 'unused_30d', 'is_in': idle_days > 30},
            {'category': 'unverified_publisher', 'is_in': NOT publisher_verified},
            {
                'category': 'external_unverified',
                'is_in': NOT publisher_verified AND CASE WHEN app_origin <> 'unknown' THEN app_origin = 'external' END
            },
            {
                'category': 'app_only',
                'is_in': CASE WHEN permission_count = 0 THEN false WHEN permission_count > 0 THEN has_application END
            },
            {'category': 'new_7d', 'is_in': created_at >= day_after - 7},
            {'category': 'new_30d', 'is_in': created_at >= day_after - 30}
        ], recursive := true)
    FROM apps
)

SELECT
    category,
    service_principal_id,
    app_id,
    display_name,
    -- NULL: not known
    is_in
FROM marks
