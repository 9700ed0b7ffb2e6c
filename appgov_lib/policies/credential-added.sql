-- grain: credential that came in the period
-- source: credential_additions, app_inventory
SELECT
    app.service_principal_id,
    app.app_id,
    app.display_name AS app_display_name,
    credential.key_id AS subject,
    CAST(credential.earlier_count AS DOUBLE) AS measure,
    CAST($min_earlier AS DOUBLE) AS threshold,
    concat(
        CASE credential.credential_type
            WHEN 'secret' THEN 'A secret' WHEN 'certificate' THEN 'A certificate'
            WHEN 'federated' THEN 'A federated credential' ELSE 'A credential'
        END,
        ' came on ', strftime(credential.added_at, '%Y-%m-%d'),
        coalesce(', added by ' || credential.actor_name, ', by whom is not known'),
        ', beside ', credential.earlier_count, ' known before',
        CASE WHEN NOT credential.is_present THEN '; it is gone again.' ELSE '.' END
    ) AS reason,
    json_object(
        'key_id', credential.key_id, 'credential_type', credential.credential_type, 'name', credential.name,
        'credential_origin', credential.credential_origin, 'starts_at', credential.starts_at,
        'ends_at', credential.ends_at, 'added_at', credential.added_at, 'added_source', credential.added_source,
        'is_present', credential.is_present, 'actor_id', credential.actor_id, 'actor_name', credential.actor_name,
        'actor_ip', credential.actor_ip, 'audit_id', credential.audit_id
    ) AS evidence
FROM credential_additions AS credential
INNER JOIN app_inventory AS app
    ON credential.service_principal_id = app.service_principal_id
WHERE
    app.is_in_scope
    AND credential.added_at >= CAST($as_of AS DATE) + 1 - $days
    AND credential.added_at < CAST($as_of AS DATE) + 1
    AND credential.earlier_count >= $min_earlier
ORDER BY app.service_principal_id, credential.key_id
