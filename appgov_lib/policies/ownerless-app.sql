-- grain: app registered here with high or medium privilege and no owner
-- source: app_inventory
SELECT
    service_principal_id,
    app_id,
    display_name AS app_display_name,
    '' AS subject,
    CAST(owner_count AS DOUBLE) AS measure,
    CAST($min_owners AS DOUBLE) AS threshold,
    concat(
        'Neither the app registration nor the service principal has an owner, while the app holds ', permission_count,
        CASE WHEN permission_count = 1 THEN ' permission' ELSE ' permissions' END,
        ' with ', privilege_level, ' privilege as the highest level.'
    ) AS reason,
    json_object(
        'application_id', application_id,
        'owner_count', owner_count,
        'privilege_level', privilege_level,
        'permission_count', permission_count,
        'credential_count', credential_count,
        'created_at', created_at,
        'last_used_at', last_used_at
    ) AS evidence
FROM app_inventory
WHERE
    is_first_party IS NOT TRUE
    -- Managed identities have no owner by design: the Azure resource they belong to has.
    AND service_principal_type IS DISTINCT FROM 'ManagedIdentity'
    AND app_origin = 'internal'
    AND application_id IS NOT NULL
    AND status = 'enabled'
    AND privilege_level IN ('high', 'medium')
    AND owner_count < $min_owners
ORDER BY service_principal_id
