-- grain: app registered here whose service principal carries a credential of its own
-- source: app_credentials, stg_service_principals, app_inventory
WITH held AS (
    SELECT
        credential.*,
        -- single sign-on with SAML puts its signing certificate, and a secret of the same end, on the service principal
        bool_or(credential.credential_type = 'certificate') OVER twin
        AND (
            coalesce(principal.single_sign_on_mode = 'saml', FALSE)
            OR bool_or(credential.credential_type = 'secret') OVER twin
        ) AS is_signing
    FROM app_credentials AS credential
    LEFT JOIN stg_service_principals AS principal
        ON credential.service_principal_id = principal.service_principal_id
    WHERE credential.credential_origin = 'service_principal'
    WINDOW twin AS (PARTITION BY credential.service_principal_id, credential.ends_at)
),

live AS (
    SELECT
        service_principal_id,
        count(*) AS credentials,
        count(*) FILTER (credential_type = 'secret') AS secrets,
        max(starts_at) AS newest_at,
        max(ends_at) AS ends_at,
        arg_max(key_id, (starts_at, key_id)) AS key_id,
        max(last_used_at) AS last_used_at
    FROM held
    WHERE
        NOT is_signing
        AND (ends_at IS NULL OR CAST(ends_at AS DATE) >= CAST($as_of AS DATE))
    GROUP BY service_principal_id
),

registered AS (
    SELECT app_id, count(*) AS credentials
    FROM app_credentials
    WHERE
        credential_origin = 'application'
        AND (ends_at IS NULL OR CAST(ends_at AS DATE) >= CAST($as_of AS DATE))
    GROUP BY app_id
)

SELECT
    app.service_principal_id,
    app.app_id,
    app.display_name AS app_display_name,
    '' AS subject,
    CAST(live.credentials AS DOUBLE) AS measure,
    CAST($min_credentials AS DOUBLE) AS threshold,
    concat(
        live.credentials,
        CASE WHEN live.credentials = 1 THEN ' credential that works is' ELSE ' credentials that work are' END,
        ' on the service principal, where the pages of the app registration do not show ',
        CASE WHEN live.credentials = 1 THEN 'it' ELSE 'them' END,
        CASE
            WHEN registered.credentials > 0
                THEN concat('; the registration has ', registered.credentials, ' of its own')
            ELSE ''
        END,
        coalesce(', the newest from ' || strftime(live.newest_at, '%Y-%m-%d'), ''), '.'
    ) AS reason,
    json_object(
        'credentials', live.credentials, 'secrets', live.secrets, 'newest_key_id', live.key_id,
        'newest_at', live.newest_at, 'ends_at', live.ends_at, 'last_used_at', live.last_used_at,
        'on_registration', registered.credentials, 'application_id', app.application_id, 'privilege_level', app.privilege_level
    ) AS evidence
FROM live
INNER JOIN app_inventory AS app
    ON live.service_principal_id = app.service_principal_id
LEFT JOIN registered
    ON app.app_id = registered.app_id
WHERE
    app.is_in_scope
    AND app.status = 'enabled'
    -- old kinds of service principal have no registration that could carry it
    AND app.service_principal_type = 'Application'
    AND app.app_origin = 'internal'
    AND live.credentials >= $min_credentials
ORDER BY app.service_principal_id
