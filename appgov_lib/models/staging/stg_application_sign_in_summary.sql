-- grain: app
-- source: Graph beta /reports/getAzureADApplicationSignInSummary, the last 30 days
SELECT
    -- the id of a row is the app id
    guid(id) AS app_id,
    filled("appDisplayName") AS display_name,
    TRY_CAST("successfulSignInCount" AS BIGINT) AS successful_sign_ins,
    TRY_CAST("failedSignInCount" AS BIGINT) AS failed_sign_ins,
    TRY_CAST("successPercentage" AS DOUBLE) AS success_percentage
FROM read_json($application_sign_in_summary,
    format = 'newline_delimited', records = true, ignore_errors = true, columns = {
    id: 'VARCHAR',
    "appDisplayName": 'VARCHAR',
    "successfulSignInCount": 'VARCHAR',
    "failedSignInCount": 'VARCHAR',
    "successPercentage": 'VARCHAR'
})
WHERE guid(id) IS NOT NULL
QUALIFY row_number() OVER (
    PARTITION BY guid(id)
    ORDER BY successful_sign_ins DESC NULLS LAST, failed_sign_ins DESC NULLS LAST, display_name, success_percentage
) = 1
ORDER BY app_id
