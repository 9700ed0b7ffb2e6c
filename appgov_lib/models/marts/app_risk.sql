-- grain: service principal
-- source: app_identity, app_grant_summary, app_last_use, app_owners, app_credentials
-- First form of the score: parts that add up. The caps are 35 permissions, 15 Entra role, 15 publisher, 10 consent,
-- 10 unused permissions, 5 credentials, 5 owner, 5 dormancy: 100 together, so no total is ever cut.
WITH owners AS (
    SELECT service_principal_id, count(DISTINCT owner_id) FILTER (owner_enabled IS NOT FALSE) AS live_owners
    FROM app_owners
    GROUP BY service_principal_id
),

credentials AS (
    SELECT
        service_principal_id,
        count(*) FILTER (credential_type = 'secret' AND days_to_expiry >= 0) AS live_secrets,
        max(lifetime_days) FILTER (credential_type = 'secret' AND days_to_expiry >= 0) AS longest_secret_days
    FROM app_credentials
    WHERE service_principal_id IS NOT NULL
    GROUP BY service_principal_id
),

readable AS (
    SELECT bool_and(status IN ('complete', 'partial')) AS owners
    FROM coverage
    WHERE source IN ('service_principal_owners', 'application_owners')
),

facts AS (
    SELECT
        i.*,
        g.* EXCLUDE (service_principal_id),
        u.days_since_last_use,
        coalesce(o.live_owners, 0) AS live_owners,
        coalesce(c.live_secrets, 0) AS live_secrets,
        c.longest_secret_days,
        r.owners AS owners_read
    FROM app_identity AS i
    CROSS JOIN readable AS r
    LEFT JOIN app_grant_summary AS g ON g.service_principal_id = i.service_principal_id
    LEFT JOIN app_last_use AS u ON u.app_id = i.app_id
    LEFT JOIN owners AS o ON o.service_principal_id = i.service_principal_id
    LEFT JOIN credentials AS c ON c.service_principal_id = i.service_principal_id
),

parts AS (
    SELECT
        service_principal_id,
        [
            {
                'part': 'permissions',
                'points': CASE
                    WHEN high_application_count > 0 THEN least(35, 25 + 5 * (high_application_count - 1))
                    WHEN high_privilege_count > 0 THEN least(25, 15 + 5 * (high_privilege_count - 1))
                    WHEN medium_privilege_count > 0 THEN 5
                END,
                'why': CASE
                    WHEN high_application_count > 0
                        THEN 'high-privilege application permissions: ' || high_application_count
                    WHEN high_privilege_count > 0 THEN 'high-privilege delegated permissions: ' || high_privilege_count
                    ELSE 'medium-privilege permissions: ' || medium_privilege_count
                END
            },
            {
                'part': 'entra_role',
                'points': CASE WHEN has_privileged_role THEN 15 WHEN len(directory_roles) > 0 THEN 5 END,
                'why': 'holds ' || array_to_string(directory_roles, ', ')
            },
            {
                'part': 'publisher',
                'points': CASE WHEN app_origin = 'external' AND NOT publisher_verified THEN 15 END,
                'why': 'registered in another tenant, publisher not verified'
            },
            {
                'part': 'consent',
                'points': CASE
                    WHEN has_user_consent AND app_origin = 'external' THEN least(10, 4 + consented_users)
                END,
                'why': 'users who consented for themselves: ' || consented_users
            },
            {
                'part': 'unused_permissions',
                'points': least(10, 4 * coalesce(unused_high_count, 0) + coalesce(unused_permission_count, 0)),
                'why': 'permissions not seen in use: ' || unused_permission_count || ', of them high: '
                    || unused_high_count
            },
            {
                'part': 'credentials',
                'points': CASE WHEN longest_secret_days > 365 THEN 3 ELSE 0 END
                    + CASE WHEN live_secrets > 1 THEN 2 ELSE 0 END,
                'why': 'live secrets: ' || live_secrets || ', longest lifetime in days: ' || longest_secret_days
            },
            {
                'part': 'owner',
                'points': CASE
                    WHEN app_origin = 'internal' AND service_principal_type <> 'ManagedIdentity'
                        AND owners_read AND live_owners = 0 THEN 5
                END,
                'why': 'no owner who can still sign in'
            },
            {
                'part': 'dormancy',
                'points': CASE WHEN days_since_last_use >= 90 AND permission_count > 0 THEN 5 END,
                'why': 'holds permissions; days since it was last seen: ' || days_since_last_use
            }
        ] AS all_parts
    FROM facts
),

scored AS (
    SELECT
        service_principal_id,
        list_filter(all_parts, lambda p: p.points > 0) AS risk_parts
    FROM parts
)

SELECT
    service_principal_id,
    CAST(coalesce(list_sum(list_transform(risk_parts, lambda p: p.points)), 0) AS INTEGER) AS risk_score,
    to_json(risk_parts) AS risk_parts
FROM scored
ORDER BY service_principal_id
