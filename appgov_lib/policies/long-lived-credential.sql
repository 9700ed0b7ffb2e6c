-- grain: app with a credential made to last for years
-- source: app_credentials, stg_service_principals, app_inventory
WITH lasting AS (
    SELECT
        credential.service_principal_id,
        count(*) AS credentials,
        max(credential.lifetime_days) AS lifetime_days,
        arg_max(credential.key_id, (credential.lifetime_days, credential.key_id)) AS key_id,
        arg_max(credential.credential_type, (credential.lifetime_days, credential.key_id)) AS credential_type,
        arg_max(credential.ends_at, (credential.lifetime_days, credential.key_id)) AS ends_at
    FROM app_credentials AS credential
    LEFT JOIN stg_service_principals AS principal
        ON credential.service_principal_id = principal.service_principal_id
    WHERE
        credential.credential_type IN ('secret', 'certificate')
        AND CAST(credential.ends_at AS DATE) >= CAST($as_of AS DATE)
        AND credential.lifetime_days > $max_days
        -- the signing certificate of SAML single sign-on proves the tenant, not the app
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
    CAST(lasting.lifetime_days AS DOUBLE) AS measure,
    CAST($max_days AS DOUBLE) AS threshold,
    concat(
        'A ', lasting.credential_type, ' was made to last ', lasting.lifetime_days, ' days, until ',
        strftime(lasting.ends_at, '%Y-%m-%d'),
        CASE WHEN lasting.credentials > 1 THEN concat('; ', lasting.credentials, ' last that long') ELSE '' END, '.'
    ) AS reason,
    json_object(
        'longest_key_id', lasting.key_id, 'credential_type', lasting.credential_type,
        'lifetime_days', lasting.lifetime_days, 'ends_at', lasting.ends_at, 'credentials', lasting.credentials,
        'application_id', app.application_id, 'privilege_level', app.privilege_level
    ) AS evidence
FROM lasting
INNER JOIN app_inventory AS app
    ON lasting.service_principal_id = app.service_principal_id
WHERE
    app.is_in_scope
    AND app.status = 'enabled'
    AND app.privilege_level IN ('high', 'medium')
ORDER BY app.service_principal_id
