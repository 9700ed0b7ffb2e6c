-- grain: control of Microsoft Secure Score
-- source: Graph /security/secureScoreControlProfiles
SELECT
    filled(id) AS control_id,
    filled(title) AS title,
    filled("controlCategory") AS category,
    filled(service) AS service,
    TRY_CAST("maxScore" AS DOUBLE) AS max_score,
    TRY_CAST(rank AS INTEGER) AS rank,
    filled(tier) AS tier,
    filled("actionType") AS action_type,
    filled("actionUrl") AS action_url,
    filled("implementationCost") AS implementation_cost,
    filled("userImpact") AS user_impact,
    texts(threats) AS threats,
    TRY_CAST(deprecated AS BOOLEAN) AS is_deprecated,
    filled(remediation) AS remediation,
    to_utc("lastModifiedDateTime") AS last_modified_at,
    "controlStateUpdates" AS state_updates
FROM read_json($secure_score_profiles,
    format = 'newline_delimited', records = true, ignore_errors = true, columns = {
    id: 'VARCHAR',
    title: 'VARCHAR',
    "controlCategory": 'VARCHAR',
    service: 'VARCHAR',
    "maxScore": 'VARCHAR',
    rank: 'VARCHAR',
    tier: 'VARCHAR',
    "actionType": 'VARCHAR',
    "actionUrl": 'VARCHAR',
    "implementationCost": 'VARCHAR',
    "userImpact": 'VARCHAR',
    threats: 'JSON',
    deprecated: 'VARCHAR',
    remediation: 'VARCHAR',
    "lastModifiedDateTime": 'VARCHAR',
    "controlStateUpdates": 'JSON'
})
WHERE filled(id) IS NOT NULL
QUALIFY row_number() OVER (
    PARTITION BY id
    ORDER BY last_modified_at DESC NULLS LAST, title, service, "maxScore", CAST("controlStateUpdates" AS VARCHAR)
) = 1
ORDER BY control_id
