-- grain: the policy for asking an administrator (one a tenant)
-- source: Graph /policies/adminConsentRequestPolicy
SELECT
    -- the object comes without an id
    coalesce(filled(id), 'adminConsentRequestPolicy') AS policy_id,
    TRY_CAST("isEnabled" AS BOOLEAN) AS is_enabled,
    TRY_CAST("notifyReviewers" AS BOOLEAN) AS notifies_reviewers,
    TRY_CAST("remindersEnabled" AS BOOLEAN) AS sends_reminders,
    TRY_CAST("requestDurationInDays" AS INTEGER) AS request_days,
    TRY_CAST(version AS INTEGER) AS version,
    list_sort(list_filter(
        list_transform(items(reviewers), lambda r: filled(json_extract_string(r, '$.query'))),
        lambda r: r IS NOT NULL
    )) AS reviewers
FROM read_json($admin_consent_request_policy,
    format = 'newline_delimited', records = true, ignore_errors = true, columns = {
    id: 'VARCHAR',
    "isEnabled": 'VARCHAR',
    "notifyReviewers": 'VARCHAR',
    "remindersEnabled": 'VARCHAR',
    "requestDurationInDays": 'VARCHAR',
    version: 'VARCHAR',
    reviewers: 'JSON'
})
WHERE TRY_CAST("isEnabled" AS BOOLEAN) IS NOT NULL
QUALIFY row_number() OVER (
    PARTITION BY coalesce(filled(id), 'adminConsentRequestPolicy')
    ORDER BY TRY_CAST(version AS INTEGER) DESC NULLS LAST, "isEnabled", CAST(reviewers AS VARCHAR)
) = 1
ORDER BY policy_id
