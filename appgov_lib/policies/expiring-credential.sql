-- grain: credential that ends soon and has no successor
-- source: app_credentials, app_inventory
SELECT
    app.service_principal_id,
    app.app_id,
    app.display_name AS app_display_name,
    coalesce(credential.key_id, '') AS subject,
    CAST(date_diff('day', CAST($as_of AS DATE), CAST(credential.ends_at AS DATE)) AS DOUBLE) AS measure,
    CAST($days_to_expiry AS DOUBLE) AS threshold,
    concat(
        'A ', credential.credential_type, ' ends on ', strftime(credential.ends_at, '%Y-%m-%d'), ', in ',
        date_diff('day', CAST($as_of AS DATE), CAST(credential.ends_at AS DATE)),
        ' days, and no other ', credential.credential_type, ' of the app lasts 30 days longer',
        CASE
            WHEN credential.last_used_at IS NOT NULL
                THEN concat('; it was last used on ', strftime(credential.last_used_at, '%Y-%m-%d'), '.')
            WHEN credential.last_used_known THEN '; no use of it is known.'
            ELSE '; whether it is used is not known.'
        END
    ) AS reason,
    json_object(
        'key_id', credential.key_id,
        'name', credential.name,
        'credential_type', credential.credential_type,
        'credential_origin', credential.credential_origin,
        'application_id', credential.application_id,
        'starts_at', credential.starts_at,
        'ends_at', credential.ends_at,
        'last_used_at', credential.last_used_at,
        'last_used_known', credential.last_used_known
    ) AS evidence
FROM app_credentials AS credential
INNER JOIN app_inventory AS app
    ON credential.app_id = app.app_id
WHERE
    app.is_first_party IS NOT TRUE
    AND app.service_principal_type IS DISTINCT FROM 'ManagedIdentity'
    AND app.status = 'enabled'
    -- What has already ended no longer works for anyone; the day it ends still counts as ahead.
    AND CAST(credential.ends_at AS DATE) >= CAST($as_of AS DATE)
    AND credential.ends_at < CAST($as_of AS DATE) + 1 + $days_to_expiry
    -- The successor may sit on the other object of the app: registration and service principal both carry credentials.
    AND NOT EXISTS (
        SELECT 1
        FROM app_credentials AS successor
        WHERE
            successor.app_id = credential.app_id
            AND successor.credential_type = credential.credential_type
            AND successor.ends_at > credential.ends_at + INTERVAL 30 DAY
    )
ORDER BY app.service_principal_id, credential.key_id
