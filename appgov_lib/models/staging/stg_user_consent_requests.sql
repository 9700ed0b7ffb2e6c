-- grain: user's request for an app (consent request x user request)
-- source: Graph /identityGovernance/appConsent/appConsentRequests/{id}/userConsentRequests
WITH requests AS (
    SELECT
        guid(record ->> '$.id') AS user_consent_request_id,
        guid(parent_id) AS parent_id,
        record,
        -- the stage somebody decided; a request nobody has answered has none
        list_filter(
            items(record -> '$.approval.stages'),
            lambda s: to_utc(json_extract_string(s, '$.reviewedDateTime')) IS NOT NULL
        )[-1] AS decision
    FROM read_json($user_consent_requests,
        format = 'newline_delimited', records = true, ignore_errors = true, columns = {
        parent_id: 'VARCHAR',
        record: 'JSON'
    })
)

SELECT
    user_consent_request_id,
    parent_id,
    filled(record ->> '$.status') AS status,
    filled(record ->> '$.reason') AS reason,
    to_utc(record ->> '$.createdDateTime') AS created_at,
    to_utc(record ->> '$.completedDateTime') AS completed_at,
    guid(record ->> '$.createdBy.user.id') AS user_id,
    filled(lower(record ->> '$.createdBy.user.userPrincipalName')) AS user_principal_name,
    filled(record ->> '$.approvalId') AS approval_id,
    filled(decision ->> '$.reviewResult') AS review_result,
    to_utc(decision ->> '$.reviewedDateTime') AS reviewed_at,
    guid(decision ->> '$.reviewedBy.id') AS reviewer_id,
    filled(decision ->> '$.justification') AS justification
FROM requests
WHERE user_consent_request_id IS NOT NULL AND parent_id IS NOT NULL
QUALIFY row_number() OVER (
    PARTITION BY parent_id, user_consent_request_id
    ORDER BY completed_at DESC NULLS LAST, reviewed_at DESC NULLS LAST, created_at, status, CAST(record AS VARCHAR)
) = 1
ORDER BY parent_id, user_consent_request_id
