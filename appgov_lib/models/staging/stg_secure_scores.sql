-- grain: reading of Microsoft Secure Score (the newest)
-- source: Graph /security/secureScores
SELECT
    filled(id) AS score_id,
    to_utc("createdDateTime") AS created_at,
    TRY_CAST("currentScore" AS DOUBLE) AS current_score,
    TRY_CAST("maxScore" AS DOUBLE) AS max_score,
    TRY_CAST("activeUserCount" AS BIGINT) AS active_users,
    TRY_CAST("licensedUserCount" AS BIGINT) AS licensed_users,
    texts("enabledServices") AS enabled_services,
    "averageComparativeScores" AS comparative_scores,
    "controlScores" AS control_scores
FROM read_json($secure_scores,
    format = 'newline_delimited', records = true, ignore_errors = true, columns = {
    id: 'VARCHAR',
    "createdDateTime": 'VARCHAR',
    "currentScore": 'VARCHAR',
    "maxScore": 'VARCHAR',
    "activeUserCount": 'VARCHAR',
    "licensedUserCount": 'VARCHAR',
    "enabledServices": 'JSON',
    "averageComparativeScores": 'JSON',
    "controlScores": 'JSON'
})
WHERE filled(id) IS NOT NULL
QUALIFY row_number() OVER (
    PARTITION BY id
    ORDER BY created_at DESC NULLS LAST, "currentScore", "maxScore", CAST("controlScores" AS VARCHAR)
) = 1
ORDER BY created_at, score_id
