-- grain: service principal with credentials
-- source: app_credentials
WITH judged AS (
    SELECT
        *,
        -- no end known, as with federated credentials, means that nothing ends it
        days_to_expiry IS NULL OR days_to_expiry >= 0 AS is_live
    FROM app_credentials
    WHERE service_principal_id IS NOT NULL
)

SELECT
    service_principal_id,
    count(*) AS credential_count,
    count(*) FILTER (is_live AND credential_type = 'secret') AS live_secret_count,
    count(*) FILTER (is_live AND credential_type = 'certificate') AS live_certificate_count,
    count(*) FILTER (credential_type = 'federated') AS federated_credential_count,
    count(*) FILTER (NOT is_live) AS expired_credential_count,
    min(ends_at) FILTER (is_live) AS next_expiry_at,
    -- of the live ones the one idle for longest; one that was never used is idle since its validity began
    min(coalesce(last_used_at, starts_at)) FILTER (is_live AND last_used_known AND credential_type <> 'federated')
        AS credential_unused_since
FROM judged
GROUP BY service_principal_id
ORDER BY service_principal_id
