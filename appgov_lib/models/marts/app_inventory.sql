-- grain: service principal
-- source: app_identity, app_marks, app_dates, app_access_facts, app_use_facts, app_owners, app_credential_summary,
-- app_risk, coverage
-- What was not readable is NULL; 0 and 'none' are said only where the source was read to its end.
WITH readable AS (
    SELECT
        bool_and(status = 'complete') FILTER (source = 'service_principal_owners') AS sp_owners,
        bool_and(status = 'complete') FILTER (source = 'application_owners') AS application_owners,
        bool_and(status = 'complete') FILTER (source IN ('applications', 'federated_credentials')) AS credentials
    FROM coverage
),

owners AS (
    SELECT
        service_principal_id,
        count(DISTINCT owner_id) AS owner_count,
        -- who is disabled answers for nothing
        count(DISTINCT owner_id) FILTER (owner_enabled IS NOT FALSE) AS live_owner_count
    FROM app_owners
    GROUP BY service_principal_id
),

apps AS (
    SELECT
        i.*,
        CASE WHEN r.sp_owners AND (i.application_id IS NULL OR r.application_owners) THEN 0 END AS no_owner,
        -- what an app of another tenant holds at home is not for this tenant to see
        CASE WHEN r.credentials OR i.app_origin = 'external' THEN 0 END AS no_credential
    FROM app_identity AS i
    CROSS JOIN readable AS r
)

SELECT
    i.service_principal_id,
    i.app_id,
    i.application_id,
    i.display_name,
    i.app_origin,
    i.is_first_party,
    i.first_party_basis,
    i.is_in_scope,
    i.service_principal_type,
    b.object_type,
    b.is_agent,
    CASE
        -- the directory says that it is off, app governance who switched it off
        WHEN i.status = 'disabled_by_user' AND b.microsoft_app_status = 'DisabledByAppGovernancePolicy'
            THEN 'disabled_by_policy'
        ELSE i.status
    END AS status,
    i.account_enabled,
    b.sign_in_audience,
    i.publisher_name,
    i.publisher_verified,
    b.verified_publisher_added_at,
    b.publisher_domain,
    b.certification,
    a.* EXCLUDE (service_principal_id),
    coalesce(o.owner_count, i.no_owner) AS owner_count,
    coalesce(o.live_owner_count, i.no_owner) AS live_owner_count,
    coalesce(c.credential_count, i.no_credential) AS credential_count,
    coalesce(c.live_secret_count, i.no_credential) AS live_secret_count,
    coalesce(c.live_certificate_count, i.no_credential) AS live_certificate_count,
    coalesce(c.federated_credential_count, i.no_credential) AS federated_credential_count,
    coalesce(c.expired_credential_count, i.no_credential) AS expired_credential_count,
    c.next_expiry_at,
    c.credential_unused_since,
    i.created_at,
    d.* EXCLUDE (service_principal_id),
    u.* EXCLUDE (service_principal_id),
    b.sensitivity_label_ids,
    i.reply_urls,
    i.assignment_required,
    b.microsoft_app_status,
    b.microsoft_privilege_level,
    b.microsoft_risk_score,
    b.microsoft_consented_users,
    b.microsoft_observed_at,
    -- no interface says which agents use an app, nor how common it is among tenants
    CAST(NULL AS BOOLEAN) AS used_by_agents,
    CAST(NULL AS VARCHAR) AS community_use,
    k.risk_score,
    k.risk_impact,
    k.risk_likelihood,
    k.risk_level,
    k.risk_unknown_points,
    k.is_ranked,
    k.risk_parts
FROM apps AS i
LEFT JOIN app_marks AS b ON b.service_principal_id = i.service_principal_id
LEFT JOIN app_access_facts AS a ON a.service_principal_id = i.service_principal_id
LEFT JOIN owners AS o ON o.service_principal_id = i.service_principal_id
LEFT JOIN app_credential_summary AS c ON c.service_principal_id = i.service_principal_id
LEFT JOIN app_dates AS d ON d.service_principal_id = i.service_principal_id
LEFT JOIN app_use_facts AS u ON u.service_principal_id = i.service_principal_id
LEFT JOIN app_risk AS k ON k.service_principal_id = i.service_principal_id
ORDER BY i.service_principal_id
