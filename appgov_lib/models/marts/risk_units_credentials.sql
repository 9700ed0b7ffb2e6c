-- grain: app x part of likelihood that its credentials count for
-- source: app_credentials, stg_service_principals
-- A federated credential is nothing that could leak, so it adds nothing.
WITH signing AS (
    -- a certificate that signs SAML tokens belongs on the service principal; it lets nobody sign in as the app
    SELECT service_principal_id
    FROM stg_service_principals
    WHERE regexp_matches(CAST(key_credentials AS VARCHAR), '"usage"\s*:\s*"Sign"')
),

held AS (
    SELECT
        c.*,
        coalesce(c.days_to_expiry >= 0, true) AS is_live,
        c.last_used_known AND c.starts_at < CAST($as_of AS DATE) - 89
            AND (c.last_used_at IS NULL OR c.last_used_at < CAST($as_of AS DATE) - 89) AS is_unused,
        c.credential_origin = 'service_principal' AND s.service_principal_id IS NULL AS is_hidden
    FROM app_credentials AS c
    LEFT JOIN signing AS s ON s.service_principal_id = c.object_id
    WHERE c.service_principal_id IS NOT NULL AND c.credential_type IN ('secret', 'certificate')
),

sums AS (
    SELECT
        service_principal_id,
        count(*) FILTER (is_live AND credential_type = 'secret') AS live_secrets,
        max(lifetime_days) FILTER (is_live AND credential_type = 'secret') AS longest,
        count(*) FILTER (is_live AND is_unused) AS unused,
        count(*) FILTER (is_live AND last_used_known IS NOT TRUE) AS use_unknown,
        count(*) FILTER (NOT is_live) AS expired,
        count(*) FILTER (is_live AND is_hidden) AS hidden
    FROM held
    GROUP BY service_principal_id
),

parts AS (
    SELECT
        service_principal_id,
        unnest([
            {'part_id': 'secret_long_lived', 'units': CAST(longest > 365 AS BIGINT),
                'why': 'Its longest-lived live secret is valid for ' || longest || ' days.'},
            {'part_id': 'credential_several', 'units': live_secrets - 1,
                'why': live_secrets || ' secrets are valid at the same time.'},
            {'part_id': 'credential_unused', 'units': unused,
                'why': 'Valid secrets and certificates not used for 90 days: ' || unused || '.'},
            {'part_id': 'credential_expired', 'units': expired,
                'why': 'Expired secrets and certificates still there: ' || expired || '.'},
            {'part_id': 'credential_on_service_principal', 'units': hidden,
                'why': 'Valid secrets and certificates on the enterprise application itself: ' || hidden || '.'}
        ], max_depth := 2)
    FROM sums
)

SELECT * FROM parts WHERE units > 0
UNION ALL
-- 0 units: could not be judged
SELECT service_principal_id, 'credential_unused', 0,
    'Valid secrets and certificates of which nobody knows whether they are used: ' || use_unknown || '.'
FROM sums
WHERE use_unknown > 0 AND unused = 0
