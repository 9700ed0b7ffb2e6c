-- grain: recommendation of Microsoft Entra
-- source: Graph beta /directory/recommendations
SELECT
    -- tenant id and kind of recommendation, joined by an underscore: kept as it came
    filled(id) AS recommendation_id,
    filled("recommendationType") AS recommendation_type,
    filled("displayName") AS display_name,
    filled(category) AS category,
    filled(status) AS status,
    filled(priority) AS priority,
    filled("impactType") AS impact_type,
    texts("featureAreas") AS feature_areas,
    filled(insights) AS insights,
    filled(benefits) AS benefits,
    to_utc("createdDateTime") AS created_at,
    to_utc("impactStartDateTime") AS impact_start_at,
    to_utc("lastCheckedDateTime") AS last_checked_at,
    to_utc("lastModifiedDateTime") AS last_modified_at,
    to_utc("postponeUntilDateTime") AS postponed_until,
    TRY_CAST("currentScore" AS DOUBLE) AS current_score,
    TRY_CAST("maxScore" AS DOUBLE) AS max_score,
    "actionSteps" AS action_steps
FROM read_json($recommendations,
    format = 'newline_delimited', records = true, ignore_errors = true, columns = {
    id: 'VARCHAR',
    "recommendationType": 'VARCHAR',
    "displayName": 'VARCHAR',
    category: 'VARCHAR',
    status: 'VARCHAR',
    priority: 'VARCHAR',
    "impactType": 'VARCHAR',
    "featureAreas": 'JSON',
    insights: 'VARCHAR',
    benefits: 'VARCHAR',
    "createdDateTime": 'VARCHAR',
    "impactStartDateTime": 'VARCHAR',
    "lastCheckedDateTime": 'VARCHAR',
    "lastModifiedDateTime": 'VARCHAR',
    "postponeUntilDateTime": 'VARCHAR',
    "currentScore": 'VARCHAR',
    "maxScore": 'VARCHAR',
    "actionSteps": 'JSON'
})
WHERE filled(id) IS NOT NULL
QUALIFY row_number() OVER (
    PARTITION BY id
    ORDER BY last_modified_at DESC NULLS LAST, status, display_name, insights, CAST("actionSteps" AS VARCHAR)
) = 1
ORDER BY recommendation_id
