-- grain: setting of the tenant that leaves making apps, asking for them or their credentials without a bound
-- source: consent_posture, stg_organization
SELECT
    organization.tenant_id AS service_principal_id,
    CAST(NULL AS VARCHAR) AS app_id,
    'Tenant settings' AS app_display_name,
    posture.setting_id AS subject,
    CAST(NULL AS DOUBLE) AS measure,
    CAST(NULL AS DOUBLE) AS threshold,
    posture.reason,
    json_object(
        'setting', posture.setting,
        'value', posture.value,
        'verdict', posture.verdict,
        'recommended', posture.recommended,
        'source', posture.source,
        'microsoft_reference', posture.microsoft_reference
    ) AS evidence
FROM consent_posture AS posture
CROSS JOIN (SELECT min(tenant_id) AS tenant_id FROM stg_organization) AS organization
WHERE
    posture.verdict IN ('weak', 'risky')
    -- What lets an app in is told by consent-too-broad; a ban of all secrets is no remedy for most tenants.
    AND posture.setting_id IN (
        'app_registration', 'admin_consent_workflow', 'admin_consent_reviewers', 'admin_consent_duration',
        'app_management_policy', 'secret_lifetime', 'certificate_lifetime'
    )
    AND organization.tenant_id IS NOT NULL
ORDER BY posture.setting_id
