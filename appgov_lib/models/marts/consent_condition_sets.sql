-- grain: condition set of a permission grant policy
-- source: stg_permission_grant_policies
WITH sets AS (
    SELECT policy_id, 'include' AS effect, unnest(items(includes)) AS body FROM stg_permission_grant_policies
    UNION ALL
    SELECT policy_id, 'exclude', unnest(items(excludes)) FROM stg_permission_grant_policies
),

parsed AS (
    SELECT
        policy_id,
        effect,
        CAST(body AS VARCHAR) AS set_text,
        body ->> '$.permissionType' AS permission_type,
        coalesce(filled(lower(body ->> '$.permissionClassification')), 'all') AS classification,
        coalesce(filled(lower(body ->> '$.resourceApplication')), 'any') AS resource_app_id,
        -- what is left out means all
        list_transform(texts(body -> '$.permissions'), lambda t: lower(t)) AS permission_ids,
        list_transform(texts(body -> '$.clientApplicationIds'), lambda t: lower(t)) AS client_app_ids,
        list_transform(texts(body -> '$.clientApplicationTenantIds'), lambda t: lower(t)) AS client_tenant_ids,
        list_transform(texts(body -> '$.clientApplicationPublisherIds'), lambda t: lower(t)) AS client_publisher_ids,
        coalesce(TRY_CAST(body ->> '$.clientApplicationsFromVerifiedPublisherOnly' AS BOOLEAN), false)
            AS verified_only
    FROM sets
),

opened AS (
    SELECT
        * REPLACE (
            CASE WHEN NOT list_contains(permission_ids, 'all') AND len(permission_ids) > 0 THEN permission_ids END
                AS permission_ids,
            CASE WHEN NOT list_contains(client_app_ids, 'all') AND len(client_app_ids) > 0 THEN client_app_ids END
                AS client_app_ids,
            CASE WHEN NOT list_contains(client_tenant_ids, 'all') AND len(client_tenant_ids) > 0
                THEN client_tenant_ids END AS client_tenant_ids,
            CASE WHEN NOT list_contains(client_publisher_ids, 'all') AND len(client_publisher_ids) > 0
                THEN client_publisher_ids END AS client_publisher_ids
        )
    FROM parsed
)

SELECT
    policy_id,
    effect,
    row_number() OVER (PARTITION BY policy_id, effect ORDER BY set_text) AS set_number,
    permission_type,
    classification,
    resource_app_id,
    permission_ids,
    client_app_ids,
    client_tenant_ids,
    client_publisher_ids,
    verified_only,
    -- known apps: verified, chosen, or of chosen tenants such as this one; chosen: any app, but not any permission
    CASE
        WHEN verified_only OR client_app_ids IS NOT NULL OR client_publisher_ids IS NOT NULL
            OR client_tenant_ids IS NOT NULL
            THEN CASE classification WHEN 'low' THEN 'low' ELSE 'verified' END
        WHEN permission_ids IS NOT NULL OR classification = 'low' THEN 'chosen'
        ELSE 'any'
    END AS width
FROM opened
ORDER BY policy_id, effect, set_number
