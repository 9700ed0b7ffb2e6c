-- grain: delegated grant or application permission that is risky
-- source: stg_delegated_grants, stg_app_role_assignments, app_permissions, app_inventory, grant_history,
--         consent_verdicts
WITH grants AS (
    SELECT
        grant_id, service_principal_id, resource_id,
        unnest(scopes) AS permission,
        'delegated' AS permission_type,
        CASE WHEN consent_type = 'Principal' THEN 'user' ELSE 'admin' END AS consent_type,
        principal_id
    FROM stg_delegated_grants
    UNION ALL
    SELECT
        assignment_id, service_principal_id, resource_id,
        coalesce(permission, app_role_id), 'application', 'admin', NULL
    FROM stg_app_role_assignments
    WHERE coalesce(principal_type, 'ServicePrincipal') = 'ServicePrincipal' AND app_role_id IS NOT NULL
),

-- Grants of apps that are never listed are left out before anything is joined to their permissions.
apps AS (
    SELECT service_principal_id, app_id, display_name, app_origin, publisher_verified
    FROM app_inventory
    WHERE is_first_party IS NOT TRUE AND service_principal_type IS DISTINCT FROM 'ManagedIdentity'
),

-- Low permissions are left out of the list, but one blocked permission blocks the whole consent.
summed AS (
    SELECT
        g.grant_id,
        g.service_principal_id,
        g.resource_id,
        g.permission_type,
        g.consent_type,
        g.principal_id,
        list_sort(list(g.permission) FILTER (p.privilege_level IN ('high', 'medium'))) AS permissions,
        bool_or(p.privilege_level = 'high') AS has_high,
        any_value(p.resource_name) AS resource_name,
        count(*) FILTER (v.is_open IS false) AS closed,
        count(*) FILTER (v.is_open IS NULL) AS unclear,
        -- the permission that decides, in one order
        arg_min(g.permission || ': ' || v.why, (CASE v.is_open WHEN false THEN 0 WHEN true THEN 2 ELSE 1 END,
            g.permission)) FILTER (g.consent_type = 'user') AS why
    FROM grants AS g
    SEMI JOIN apps AS i ON i.service_principal_id = g.service_principal_id
    LEFT JOIN app_permissions AS p
        ON p.service_principal_id = g.service_principal_id AND p.resource_id = g.resource_id
        AND p.permission = g.permission AND p.permission_type = g.permission_type
    LEFT JOIN consent_verdicts AS v
        ON g.consent_type = 'user' AND v.service_principal_id = g.service_principal_id
        AND v.resource_id = g.resource_id AND v.permission = g.permission
    GROUP BY ALL
),

consents AS (
    SELECT
        grant_id,
        max(consented_at) AS consented_at,
        arg_max(consented_by_id, (consented_at, consented_by_id)) AS consented_by_id,
        arg_max(consented_by_name, (consented_at, consented_by_id)) AS consented_by_name
    FROM grant_history
    WHERE valid_to IS NULL
        -- where no consent is known there is nothing to pick
        AND (consented_at IS NOT NULL OR consented_by_id IS NOT NULL OR consented_by_name IS NOT NULL)
    GROUP BY grant_id
),

risky AS (
    SELECT
        s.*,
        i.app_id,
        i.display_name,
        i.app_origin,
        i.publisher_verified,
        i.app_origin = 'external' AND NOT i.publisher_verified AS is_unverified,
        c.consented_by_id,
        c.consented_by_name,
        c.consented_at,
        -- an administrator may consent for one user too
        s.consent_type = 'user' AND coalesce(c.consented_by_id = s.principal_id, true) AS by_user
    FROM summed AS s
    INNER JOIN apps AS i ON i.service_principal_id = s.service_principal_id
    LEFT JOIN consents AS c ON c.grant_id = s.grant_id
    WHERE len(s.permissions) > 0
        AND (s.has_high AND s.consent_type = 'admin' OR s.consent_type = 'user'
            OR (i.app_origin = 'external' AND NOT i.publisher_verified))
)

SELECT
    grant_id,
    service_principal_id,
    app_id,
    display_name,
    resource_id,
    resource_name,
    permission_type,
    permissions,
    CASE WHEN has_high THEN 'high' ELSE 'medium' END AS privilege_level,
    consent_type,
    principal_id,
    app_origin,
    publisher_verified,
    consented_by_id,
    consented_by_name,
    consented_at,
    CASE WHEN by_user THEN 'user_consent' ELSE 'administrator' END AS let_in_by,
    CASE WHEN by_user AND closed = 0 AND unclear = 0 THEN true WHEN by_user AND closed > 0 THEN false END AS still_open,
    concat_ws(' ',
        CASE WHEN has_high AND consent_type = 'admin' THEN 'High privilege for the whole tenant.' END,
        CASE WHEN is_unverified THEN 'An outside app of a publisher nobody verified.' END,
        CASE
            WHEN permission_type = 'application' THEN 'An administrator gave it: no setting for users lets it in.'
            WHEN NOT by_user THEN 'An administrator consented: no setting for users lets it in.'
            WHEN consented_by_id IS NULL THEN 'A user consented, as far as known. ' || why || '.'
            ELSE 'The user consented. ' || why || '.'
        END
    ) AS reason
FROM risky
ORDER BY service_principal_id, resource_id, permission_type, grant_id
