-- grain: credential (object that holds it x key)
-- source: stg_applications, stg_service_principals, stg_federated_credentials; use: stg_credential_sign_in_activities,
-- stg_sign_ins
WITH held AS (
    SELECT 'application' AS credential_origin, application_id AS object_id, app_id, display_name,
        'secret' AS kind, unnest(items(password_credentials)) AS credential
    FROM stg_applications
    UNION ALL
    SELECT 'application', application_id, app_id, display_name, 'key', unnest(items(key_credentials))
    FROM stg_applications
    UNION ALL
    SELECT 'service_principal', service_principal_id, app_id, display_name,
        'secret', unnest(items(password_credentials))
    FROM stg_service_principals
    UNION ALL
    SELECT 'service_principal', service_principal_id, app_id, display_name, 'key', unnest(items(key_credentials))
    FROM stg_service_principals
),

described AS MATERIALIZED (
    SELECT
        credential_origin,
        object_id,
        app_id,
        display_name,
        guid(credential ->> '$.keyId') AS key_id,
        CASE
            WHEN kind = 'secret' THEN 'secret'
            WHEN credential ->> '$.type' = 'Symmetric' THEN 'secret'
            ELSE 'certificate'
        END AS credential_type,
        filled(credential ->> '$.displayName') AS name,
        to_utc(credential ->> '$.startDateTime') AS starts_at,
        to_utc(credential ->> '$.endDateTime') AS ends_at
    FROM held
),

-- Hardly any key is listed twice, and ranking is dear, so only those whose hash occurs again are ranked.
repeated AS (
    SELECT hash(object_id, key_id) AS mark FROM described GROUP BY mark HAVING count(*) > 1
),

credentials AS (
    SELECT *
    FROM described
    WHERE key_id IS NOT NULL AND hash(object_id, key_id) NOT IN (SELECT mark FROM repeated)
    UNION ALL
    SELECT *
    FROM described
    WHERE key_id IS NOT NULL AND hash(object_id, key_id) IN (SELECT mark FROM repeated)
    QUALIFY row_number() OVER (PARTITION BY object_id, key_id ORDER BY ends_at DESC, name) = 1
    UNION ALL
    -- another issuer's token in place of a secret: nothing that could end or leak
    SELECT 'application', f.parent_id, a.app_id, a.display_name, f.federated_credential_id, 'federated', f.name,
        NULL, NULL
    FROM stg_federated_credentials AS f
    LEFT JOIN stg_applications AS a ON a.application_id = f.parent_id
),

seen AS (
    SELECT app_id, key_id, max(used_at) AS last_sign_in_at
    FROM (
        SELECT app_id, credential_key_id AS key_id, created_at AS used_at
        FROM stg_sign_ins
        WHERE credential_key_id IS NOT NULL AND error_code = 0
        UNION ALL
        -- of sign-ins that were pruned the last one stays
        SELECT app_id, key_id, last_at FROM kept_last_uses WHERE kind = 'credential'
    )
    GROUP BY ALL
),

by_app AS (
    SELECT app_id, min(service_principal_id) AS service_principal_id
    FROM stg_service_principals
    WHERE app_id IS NOT NULL
    GROUP BY app_id
),

registered AS (
    SELECT app_id, min(application_id) AS application_id
    FROM stg_applications
    WHERE app_id IS NOT NULL
    GROUP BY app_id
),

report_cover AS (
    SELECT bool_or(status = 'complete') AS is_complete
    FROM coverage
    WHERE source = 'credential_sign_in_activities'
)

SELECT
    CASE WHEN c.credential_origin = 'service_principal' THEN c.object_id ELSE s.service_principal_id END
        AS service_principal_id,
    CASE WHEN c.credential_origin = 'application' THEN c.object_id ELSE a.application_id END AS application_id,
    c.app_id,
    c.object_id,
    c.display_name,
    c.key_id,
    c.credential_type,
    c.credential_origin,
    c.name,
    c.starts_at,
    c.ends_at,
    date_diff('day', CAST(c.starts_at AS DATE), CAST(c.ends_at AS DATE)) AS lifetime_days,
    -- negative: expired
    date_diff('day', CAST($as_of AS DATE), CAST(c.ends_at AS DATE)) AS days_to_expiry,
    greatest(u.last_sign_in_at, l.last_sign_in_at) AS last_used_at,
    -- a complete report without the key says "never used"; without the report nobody knows, nor does anybody for
    -- federated credentials, which the report does not follow
    (coalesce(r.is_complete, false) AND c.credential_type <> 'federated')
        OR coalesce(u.last_sign_in_at, l.last_sign_in_at) IS NOT NULL AS last_used_known
FROM credentials AS c
CROSS JOIN report_cover AS r
LEFT JOIN by_app AS s ON s.app_id = c.app_id
LEFT JOIN registered AS a ON a.app_id = c.app_id
LEFT JOIN stg_credential_sign_in_activities AS u ON u.app_id = c.app_id AND u.key_id = c.key_id
LEFT JOIN seen AS l ON l.app_id = c.app_id AND l.key_id = c.key_id
ORDER BY c.app_id, c.credential_origin, c.object_id, c.key_id
