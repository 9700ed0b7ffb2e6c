-- grain: credential x check that says something about it
-- source: app_credentials, hygiene_objects, stg_service_principals, reference/hygiene_checks.csv
WITH limits AS (
    SELECT
        max(CAST(threshold AS INTEGER)) FILTER (check_id = 'unused_credential') AS unused_days,
        max(CAST(threshold AS INTEGER)) FILTER (check_id = 'expiring_credential') AS expiring_days,
        max(CAST(threshold AS INTEGER)) FILTER (check_id = 'several_live_secrets') AS live_secrets
    FROM ref_hygiene_checks
),

held AS MATERIALIZED (
    SELECT
        coalesce(c.service_principal_id, c.object_id) AS object_id,
        c.credential_origin,
        c.key_id,
        c.credential_type,
        c.starts_at,
        c.ends_at,
        c.lifetime_days,
        c.days_to_expiry,
        c.last_used_at,
        c.last_used_known,
        c.days_to_expiry IS NULL OR c.days_to_expiry >= 0 AS is_live,
        date_diff('day', CAST(coalesce(c.last_used_at, c.starts_at) AS DATE), CAST($as_of AS DATE)) AS idle_days,
        -- single sign-on with SAML puts its signing certificate, and a secret of the same end, on the service principal
        coalesce(c.credential_origin = 'service_principal' AND s.single_sign_on_mode = 'saml', false)
            AND bool_or(c.credential_type = 'certificate') OVER (PARTITION BY c.object_id, c.ends_at) AS is_signing,
        c.credential_type || ' of the ' || replace(c.credential_origin, '_', ' ') AS what
    FROM app_credentials AS c
    LEFT JOIN stg_service_principals AS s ON s.service_principal_id = c.object_id
),

live AS (
    SELECT *
    FROM held
    WHERE is_live AND NOT is_signing
),

-- Several credentials of one object together.
together AS (
    SELECT
        object_id,
        count(*) FILTER (credential_type = 'secret') AS secrets,
        count(*) FILTER (credential_type <> 'secret') AS others,
        count(*) FILTER (credential_origin = 'service_principal') AS on_principal,
        count(*) FILTER (credential_origin = 'application') AS on_registration,
        string_agg(what, ', ' ORDER BY what, key_id) AS all_of_them
    FROM live
    GROUP BY object_id
)

SELECT object_id, 'unused_credential' AS check_id, CASE WHEN last_used_known THEN 'yes' ELSE 'unknown' END AS verdict,
    key_id AS subject, CAST(idle_days AS DOUBLE) AS measure, CAST(idle_days AS DOUBLE) AS weight,
    what || CASE WHEN last_used_at IS NULL THEN ', no use known since ' ELSE ', last used on ' END
        || CAST(coalesce(last_used_at, starts_at) AS DATE) AS detail,
    CASE WHEN NOT last_used_known THEN 'no source shows when it was last used' END AS reason
FROM live, limits
WHERE credential_type <> 'federated' AND (idle_days >= unused_days OR idle_days IS NULL)
UNION ALL
SELECT object_id, 'expiring_credential', 'yes', key_id, days_to_expiry, -days_to_expiry,
    what || ', ends on ' || CAST(ends_at AS DATE), NULL
FROM held, limits
WHERE days_to_expiry BETWEEN 0 AND expiring_days
UNION ALL
SELECT object_id, 'expired_credential', 'yes', key_id, -days_to_expiry, -days_to_expiry,
    what || ', ended on ' || CAST(ends_at AS DATE), NULL
FROM held
WHERE days_to_expiry < 0
UNION ALL
SELECT l.object_id, r.check_id, CASE WHEN l.lifetime_days IS NULL THEN 'unknown' ELSE 'yes' END, l.key_id,
    l.lifetime_days, l.lifetime_days, l.what || ', made for ' || l.lifetime_days || ' days',
    CASE WHEN l.lifetime_days IS NULL THEN 'its start or end is not known' END
FROM live AS l
INNER JOIN ref_hygiene_checks AS r ON r.check_id IN ('long_lived_secret', 'very_long_lived_secret')
WHERE l.credential_type = 'secret' AND coalesce(l.lifetime_days > CAST(r.threshold AS INTEGER), true)
UNION ALL
SELECT object_id, 'secret_on_service_principal', 'yes', key_id, lifetime_days, lifetime_days,
    what || coalesce(', ends on ' || CAST(ends_at AS DATE), ', no end known'), NULL
FROM live
WHERE credential_type = 'secret' AND credential_origin = 'service_principal'
UNION ALL
SELECT l.object_id, 'credential_on_microsoft_app', 'yes', l.key_id, l.days_to_expiry, 0, l.what, NULL
FROM live AS l
INNER JOIN hygiene_objects AS o ON o.object_id = l.object_id AND list_contains(o.kinds, 'microsoft')
UNION ALL
SELECT object_id, 'several_live_secrets', 'yes', '', secrets, secrets, 'secrets that work: ' || secrets, NULL
FROM together, limits
WHERE secrets > live_secrets
UNION ALL
SELECT object_id, 'credentials_on_both_objects', 'yes', '', on_principal, on_principal, all_of_them, NULL
FROM together
WHERE on_principal > 0 AND on_registration > 0
UNION ALL
SELECT object_id, 'mixed_credential_kinds', 'yes', '', secrets, secrets, all_of_them, NULL
FROM together
WHERE secrets > 0 AND others > 0
ORDER BY object_id, check_id, subject
