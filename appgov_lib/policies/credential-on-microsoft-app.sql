-- grain: credential that works on one of Microsoft's own apps and that Microsoft did not put there
-- source: app_credentials, credential_history, stg_users, stg_service_principals, app_inventory
WITH by_people AS (
    SELECT
        history.object_id,
        history.key_id,
        min(history.added_by_name) AS added_by_name,
        min(history.added_at) AS added_at
    FROM credential_history AS history
    INNER JOIN stg_users AS person
        ON history.added_by_id = person.user_id
    GROUP BY history.object_id, history.key_id
)

SELECT
    app.service_principal_id,
    app.app_id,
    app.display_name AS app_display_name,
    credential.key_id AS subject,
    CAST(date_diff('day', CAST($as_of AS DATE), CAST(credential.ends_at AS DATE)) AS DOUBLE) AS measure,
    CAST($min_days_left AS DOUBLE) AS threshold,
    concat(
        'A ', credential.credential_type, ' on the service principal of an app of Microsoft',
        coalesce(', added by ' || person.added_by_name, ''),
        coalesce(', works until ' || strftime(credential.ends_at, '%Y-%m-%d'), ', has no end date'),
        ': whoever holds it acts as that app in this tenant.'
    ) AS reason,
    json_object(
        'key_id', credential.key_id, 'name', credential.name, 'credential_type', credential.credential_type,
        'credential_origin', credential.credential_origin, 'starts_at', credential.starts_at,
        'ends_at', credential.ends_at, 'added_by_name', person.added_by_name, 'added_at', person.added_at,
        'last_used_at', credential.last_used_at, 'privilege_level', app.privilege_level
    ) AS evidence
FROM app_credentials AS credential
INNER JOIN app_inventory AS app
    ON credential.service_principal_id = app.service_principal_id
LEFT JOIN by_people AS person
    ON credential.service_principal_id = person.object_id AND credential.key_id = person.key_id
LEFT JOIN stg_service_principals AS principal
    ON credential.service_principal_id = principal.service_principal_id
WHERE
    app.is_first_party
    AND credential.credential_origin = 'service_principal'
    AND (
        credential.ends_at IS NULL
        OR date_diff('day', CAST($as_of AS DATE), CAST(credential.ends_at AS DATE)) >= $min_days_left
    )
    -- Microsoft renews certificates of its apps by itself; only one that a person added counts
    AND (credential.credential_type = 'secret' OR person.key_id IS NOT NULL)
    AND principal.single_sign_on_mode IS DISTINCT FROM 'saml'
ORDER BY app.service_principal_id, credential.key_id
