-- grain: app registered here with high or medium privilege and no owner who could answer for it
-- source: app_inventory, app_owners
WITH guests AS (
    SELECT service_principal_id, count(DISTINCT owner_id) AS guest_count
    FROM app_owners
    WHERE owner_is_guest AND owner_enabled IS NOT FALSE
    GROUP BY service_principal_id
),

apps AS (
    SELECT
        app.*,
        coalesce(guests.guest_count, 0) AS guest_count,
        -- who is disabled or belongs to another organisation answers for nothing
        app.live_owner_count - coalesce(guests.guest_count, 0) AS accountable_count
    FROM app_inventory AS app
    LEFT JOIN guests
        ON app.service_principal_id = guests.service_principal_id
)

SELECT
    service_principal_id,
    app_id,
    display_name AS app_display_name,
    '' AS subject,
    CAST(accountable_count AS DOUBLE) AS measure,
    CAST($min_owners AS DOUBLE) AS threshold,
    concat(
        CASE
            WHEN owner_count = 0 THEN 'Neither the app registration nor the service principal has an owner'
            WHEN accountable_count > 0 THEN concat('Only ', accountable_count, ' of ', owner_count, ' can answer for it')
            WHEN guest_count = 0 THEN concat('Every owner is disabled (', owner_count, ')')
            WHEN guest_count = owner_count THEN concat('Every owner is a guest (', owner_count, ')')
            ELSE concat('Every owner is a guest or disabled (', owner_count, ')')
        END,
        ', while the app holds ', permission_count,
        CASE WHEN permission_count = 1 THEN ' permission' ELSE ' permissions' END,
        ' with ', privilege_level, ' privilege as the highest level.'
    ) AS reason,
    json_object(
        'application_id', application_id,
        'owner_count', owner_count,
        'live_owner_count', live_owner_count,
        'guest_owner_count', guest_count,
        'privilege_level', privilege_level,
        'permission_count', permission_count,
        'credential_count', credential_count,
        'created_at', created_at,
        'last_used_at', last_used_at
    ) AS evidence
FROM apps
WHERE
    is_first_party IS NOT TRUE
    -- Managed identities have no owner by design: the Azure resource they belong to has.
    AND service_principal_type IS DISTINCT FROM 'ManagedIdentity'
    AND app_origin = 'internal'
    AND application_id IS NOT NULL
    AND status = 'enabled'
    AND privilege_level IN ('high', 'medium')
    AND accountable_count < $min_owners
ORDER BY service_principal_id
