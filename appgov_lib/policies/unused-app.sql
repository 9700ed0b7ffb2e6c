-- grain: enabled app that no source has seen in use for a long time
-- source: app_inventory
SELECT
    service_principal_id,
    app_id,
    display_name AS app_display_name,
    '' AS subject,
    CAST(date_diff('day', CAST(coalesce(last_used_at, created_at) AS DATE), CAST($as_of AS DATE)) AS DOUBLE) AS measure,
    CAST($days_unused AS DOUBLE) AS threshold,
    concat(
        CASE
            WHEN last_used_at IS NULL
                THEN concat('No sign-in and no API call is known since the app was added on ', strftime(created_at, '%Y-%m-%d'))
            ELSE concat('Last used on ', strftime(last_used_at, '%Y-%m-%d'))
        END,
        ', ', date_diff('day', CAST(coalesce(last_used_at, created_at) AS DATE), CAST($as_of AS DATE)),
        ' days ago (threshold ', $days_unused, '); it still holds ', coalesce(permission_count, 0),
        CASE WHEN permission_count = 1 THEN ' permission and ' ELSE ' permissions and ' END,
        coalesce(credential_count, 0), CASE WHEN credential_count = 1 THEN ' credential.' ELSE ' credentials.' END
    ) AS reason,
    json_object(
        'last_used_at', last_used_at,
        'last_used_source', last_used_source,
        'created_at', created_at,
        'permission_count', permission_count,
        'high_privilege_count', high_privilege_count,
        'credential_count', credential_count,
        'directory_roles', directory_roles
    ) AS evidence
FROM app_inventory
WHERE
    is_first_party IS NOT TRUE
    AND service_principal_type IS DISTINCT FROM 'ManagedIdentity'
    AND status = 'enabled'
    AND created_at < CAST($as_of AS DATE) + 1 - $days_unused * INTERVAL 1 DAY
    AND (last_used_at IS NULL OR last_used_at < CAST($as_of AS DATE) + 1 - $days_unused * INTERVAL 1 DAY)
    -- An app that can neither sign in nor reach anything is no finding.
    AND coalesce(permission_count, 0) + coalesce(credential_count, 0) + coalesce(len(directory_roles), 0) > 0
ORDER BY service_principal_id
