-- grain: credential that is the first of an app which had none for a while
-- source: credential_additions, app_inventory
SELECT
    app.service_principal_id,
    app.app_id,
    app.display_name AS app_display_name,
    credential.key_id AS subject,
    CAST(date_diff('day', app.created_at, credential.added_at) AS DOUBLE) AS measure,
    CAST($days_without AS DOUBLE) AS threshold,
    concat(
        'The app was made on ', strftime(app.created_at, '%Y-%m-%d'), ' and had no credential until one came on ',
        strftime(credential.added_at, '%Y-%m-%d'),
        coalesce(', added by ' || credential.actor_name, ', by whom is not known'), '.'
    ) AS reason,
    json_object(
        'key_id', credential.key_id, 'credential_type', credential.credential_type, 'name', credential.name,
        'credential_origin', credential.credential_origin, 'ends_at', credential.ends_at,
        'added_at', credential.added_at, 'added_source', credential.added_source,
        'is_present', credential.is_present, 'actor_id', credential.actor_id, 'actor_name', credential.actor_name,
        'actor_ip', credential.actor_ip, 'audit_id', credential.audit_id, 'privilege_level', app.privilege_level
    ) AS evidence
FROM credential_additions AS credential
INNER JOIN app_inventory AS app
    ON credential.service_principal_id = app.service_principal_id
WHERE
    app.is_in_scope
    AND app.privilege_level IN ('high', 'medium')
    AND credential.added_at >= CAST($as_of AS DATE) + 1 - $days
    AND credential.added_at < CAST($as_of AS DATE) + 1
    AND credential.earlier_count = 0
    -- what an app of another tenant holds at home is not seen, so nobody can say that it had none
    AND app.app_origin = 'internal'
    -- a young app gets its first credential as a matter of course
    AND app.created_at < credential.added_at - $days_without * INTERVAL 1 DAY
ORDER BY app.service_principal_id, credential.key_id
