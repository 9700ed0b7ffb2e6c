-- grain: setting of the tenant that lets apps in without anybody deciding
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
    posture.verdict = 'risky'
    -- Guests, invitations and credentials are judged too, but let no app in.
    AND posture.setting_id IN (
        'user_consent', 'team_and_chat_consent', 'risky_app_consent', 'permission_grant_policies'
    )
    AND organization.tenant_id IS NOT NULL
ORDER BY posture.setting_id
