-- grain: service principal
-- source: stg_service_principals, stg_applications, stg_organization, reference/first_party_tenants.csv,
-- reference/first_party_apps.csv
-- Microsoft's own is what a tenant of Microsoft owns. A listed app id decides only where no owner tenant is recorded,
-- and a name never does: anybody may choose it.
SELECT
    s.service_principal_id,
    s.app_id,
    a.application_id,
    coalesce(s.display_name, a.display_name) AS display_name,
    CASE
        WHEN s.service_principal_type = 'ManagedIdentity' THEN 'internal'
        WHEN m.tenant_id IS NOT NULL THEN 'microsoft'
        WHEN s.app_owner_tenant_id IS NULL AND l.app_id IS NOT NULL THEN 'microsoft'
        WHEN s.app_owner_tenant_id = o.tenant_id THEN 'internal'
        WHEN s.app_owner_tenant_id IS NOT NULL AND o.tenant_id IS NOT NULL THEN 'external'
        ELSE 'unknown'
    END AS app_origin,
    CASE
        WHEN s.app_owner_tenant_id IS NOT NULL THEN m.tenant_id IS NOT NULL
        WHEN l.app_id IS NOT NULL AND s.service_principal_type IS DISTINCT FROM 'ManagedIdentity' THEN true
    END AS is_first_party,
    CASE
        WHEN m.tenant_id IS NOT NULL THEN 'owner tenant'
        WHEN l.app_id IS NOT NULL AND s.app_owner_tenant_id IS NOT NULL THEN 'listed id, other tenant'
        WHEN l.app_id IS NOT NULL AND s.service_principal_type IS DISTINCT FROM 'ManagedIdentity' THEN 'listed id'
        WHEN n.name IS NOT NULL THEN 'name only'
    END AS first_party_basis,
    -- what risk counts are made over: not Microsoft's own, not the identities of Azure resources
    m.tenant_id IS NULL
        AND (l.app_id IS NULL OR s.app_owner_tenant_id IS NOT NULL)
        AND s.service_principal_type IS DISTINCT FROM 'ManagedIdentity' AS is_in_scope,
    s.service_principal_type,
    CASE
        WHEN s.is_disabled THEN 'deactivated'
        WHEN starts_with(s.disabled_by_microsoft_status, 'Disabled') THEN 'disabled_by_microsoft'
        WHEN s.account_enabled THEN 'enabled'
        WHEN NOT s.account_enabled THEN 'disabled_by_user'
    END AS status,
    s.account_enabled,
    coalesce(s.verified_publisher_name, s.publisher_name) AS publisher_name,
    s.verified_publisher_id IS NOT NULL AS publisher_verified,
    coalesce(s.created_at, a.created_at) AS created_at,
    s.reply_urls,
    s.assignment_required
FROM stg_service_principals AS s
LEFT JOIN (
    SELECT *
    FROM stg_applications
    WHERE app_id IS NOT NULL
    QUALIFY row_number() OVER (PARTITION BY app_id ORDER BY application_id) = 1
) AS a ON a.app_id = s.app_id
LEFT JOIN ref_first_party_tenants AS m ON m.tenant_id = s.app_owner_tenant_id
LEFT JOIN ref_first_party_apps AS l ON l.app_id = s.app_id
LEFT JOIN (SELECT DISTINCT lower(name) AS name FROM ref_first_party_apps) AS n
    ON n.name = lower(trim(coalesce(s.display_name, a.display_name)))
LEFT JOIN (SELECT min(tenant_id) AS tenant_id FROM stg_organization) AS o ON true
ORDER BY s.service_principal_id
