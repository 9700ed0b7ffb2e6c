-- grain: suggestion
-- source: overview_tiles, consent_posture, risky_grants
WITH facts AS (
    SELECT fact_id, value FROM overview_tiles
    UNION ALL
    SELECT 'user_grants', CAST(count(*) AS DOUBLE) FROM risky_grants WHERE let_in_by = 'user_consent'
    UNION ALL
    SELECT 'posture', CAST(count(*) AS DOUBLE) FROM consent_posture WHERE verdict = 'risky'
),

offers AS (
    SELECT * FROM (VALUES
        (1, 'secure-app-permissions', 'Secure app permissions', 'OV-3', 'overprivileged-app',
            'Apps with permissions that were not used'),
        (2, 'outside-apps', 'Watch outside apps nobody verified', 'OV-24', 'highly-privileged-unverified-app',
            'Apps of outside publishers that are not verified'),
        (3, 'user-consent', 'Watch what users consent to', 'user_grants', 'user-consented-mail-access',
            'Grants of high or medium privilege that users gave'),
        (4, 'unused-apps', 'Clear out unused apps', 'OV-2', 'unused-app', 'Apps without a sign-in in 90 days'),
        (5, 'track-credential-use', 'Track credential use', 'OV-17-unused-credentials', 'unused-credential',
            'Credentials without a sign-in in 30 days'),
        (6, 'expiring-credentials', 'Renew credentials in time', 'OV-17-expiring-credentials', 'expiring-credential',
            'Credentials that end within 30 days'),
        (7, 'consent-settings', 'Close risky settings of the tenant', 'posture', NULL,
            'Settings of the tenant that are risky')
    ) AS t (position, suggestion_id, title, fact_id, policy_id, phrase)
)

SELECT
    o.suggestion_id,
    o.title,
    -- the number as it stands, so that a reader sees why it is suggested
    CAST(f.value AS BIGINT) AS measure,
    concat(o.phrase, ': ', CAST(f.value AS BIGINT), '.') AS why,
    o.policy_id
FROM offers AS o
INNER JOIN facts AS f ON f.fact_id = o.fact_id AND f.value > 0
ORDER BY o.position
