-- grain: app that still lists credentials past their end
-- source: app_credentials, stg_service_principals, app_inventory
WITH ended AS (
    SELECT
        credential.service_principal_id,
        count(*) AS credentials,
        min(credential.ends_at) AS first_ended_at,
        max(date_diff('day', CAST(credential.ends_at AS DATE), CAST($as_of AS DATE))) AS days_ended
    FROM app_credentials AS credential
    LEFT JOIN stg_service_principals AS principal
        ON credential.service_principal_id = principal.service_principal_id
    WHERE
        date_diff('day', CAST(credential.ends_at AS DATE), CAST($as_of AS DATE)) > $days_ended
        -- single sign-on with SAML keeps its old certificates side by side
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
    CAST(ended.days_ended AS DOUBLE) AS measure,
    CAST($days_ended AS DOUBLE) AS threshold,
    concat(
        ended.credentials,
        CASE WHEN ended.credentials = 1 THEN ' credential is' ELSE ' credentials are' END,
        ' still listed more than ', $days_ended, ' days past the end, the oldest since ',
        strftime(ended.first_ended_at, '%Y-%m-%d'), '.'
    ) AS reason,
    json_object(
        'expired_credentials', ended.credentials, 'first_ended_at', ended.first_ended_at,
        'application_id', app.application_id, 'credential_count', app.credential_count
    ) AS evidence
FROM ended
INNER JOIN app_inventory AS app
    ON ended.service_principal_id = app.service_principal_id
WHERE app.is_in_scope
ORDER BY app.service_principal_id
