-- grain: setting of the tenant about consent and apps
-- source: reference/consent_settings.csv, posture_of_*, coverage
WITH found AS (
    SELECT * FROM posture_of_users
    UNION ALL
    SELECT * FROM posture_of_consent
    UNION ALL
    SELECT * FROM posture_of_requests
    UNION ALL
    SELECT * FROM posture_of_credentials
    UNION ALL
    SELECT * FROM posture_of_exceptions
),

judged AS (
    SELECT
        s.*,
        f.setting_id IS NOT NULL AS is_answered,
        f.value,
        f.verdict,
        f.reason,
        coalesce(c.status, 'not_collected') AS status,
        nullif(rtrim(c.reason, '.'), '') AS status_reason
    FROM ref_consent_settings AS s
    LEFT JOIN found AS f ON f.setting_id = s.setting_id
    LEFT JOIN coverage AS c ON c.source = s.source
)

SELECT
    setting_id,
    setting,
    CASE WHEN status IN ('complete', 'partial') THEN value END AS value,
    CASE
        WHEN status NOT IN ('complete', 'partial') OR NOT is_answered THEN 'unknown'
        -- what a partial list leaves out may be worse
        WHEN status = 'partial' AND verdict = 'safe' THEN 'unknown'
        ELSE verdict
    END AS verdict,
    CASE
        WHEN status NOT IN ('complete', 'partial')
            THEN concat('Not known: ', replace(source, '_', ' '), ' was not read (', replace(status, '_', ' '),
                coalesce(': ' || status_reason, ''), ').')
        WHEN NOT is_answered THEN 'Not known: the service gave no answer.'
        WHEN status = 'partial'
            THEN concat(reason, ' Only a part was read', coalesce(' (' || status_reason || ')', ''), '.')
        ELSE reason
    END AS reason,
    recommended,
    source,
    microsoft_reference
FROM judged
ORDER BY CAST(position AS INTEGER)
