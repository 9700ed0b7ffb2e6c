-- grain: app on which several secrets work long after the newest came
-- source: app_credentials, stg_service_principals, app_inventory
WITH live AS (
    SELECT
        credential.service_principal_id,
        count(*) AS secrets,
        max(credential.starts_at) AS newest_at,
        min(credential.ends_at) AS first_end_at,
        bool_and(credential.starts_at IS NOT NULL) AS is_dated
    FROM app_credentials AS credential
    LEFT JOIN stg_service_principals AS principal
        ON credential.service_principal_id = principal.service_principal_id
    WHERE
        credential.credential_type = 'secret'
        AND (credential.ends_at IS NULL OR CAST(credential.ends_at AS DATE) >= CAST($as_of AS DATE))
        AND NOT (
            credential.credential_origin = 'service_principal'
            AND coalesce(principal.single_sign_on_mode = 'saml', FALSE)
        )
    GROUP BY credential.service_principal_id
)

SELECT
    app.service_principal_id,
    app.app_id,
    app.display_name AS app_display_name,
    '' AS subject,
    CAST(live.secrets AS DOUBLE) AS measure,
    CAST($min_secrets AS DOUBLE) AS threshold,
    concat(
        live.secrets, ' secrets work side by side; the newest came on ', strftime(live.newest_at, '%Y-%m-%d'),
        ', so the change to it should be over.'
    ) AS reason,
    json_object(
        'live_secrets', live.secrets, 'newest_at', live.newest_at, 'first_end_at', live.first_end_at,
        'application_id', app.application_id, 'privilege_level', app.privilege_level
    ) AS evidence
FROM live
INNER JOIN app_inventory AS app
    ON live.service_principal_id = app.service_principal_id
WHERE
    app.is_in_scope
    AND app.status = 'enabled'
    AND live.secrets >= $min_secrets
    -- while a secret is being changed, the old and the new one both have to work
    AND live.is_dated
    AND live.newest_at < CAST($as_of AS DATE) + 1 - $days_overlap * INTERVAL 1 DAY
    AND (live.first_end_at IS NULL OR live.first_end_at >= CAST($as_of AS DATE) + $days_ending)
ORDER BY app.service_principal_id
