-- grain: setting that decides how users ask for apps
-- source: stg_admin_consent_request_policy, stg_user_consent_requests
WITH asked AS (
    SELECT count(*) AS requests, count(DISTINCT parent_id) AS apps, min(created_at) AS oldest
    FROM stg_user_consent_requests
    WHERE status = 'InProgress' AND (created_at IS NULL OR created_at < CAST($as_of AS DATE) + 1)
),

workflow AS (
    SELECT * FROM stg_admin_consent_request_policy ORDER BY policy_id LIMIT 1
)

SELECT
    'admin_consent_workflow' AS setting_id,
    CASE is_enabled WHEN true THEN 'on' WHEN false THEN 'off' END AS value,
    CASE is_enabled WHEN true THEN 'safe' WHEN false THEN 'weak' ELSE 'unknown' END AS verdict,
    CASE is_enabled
        WHEN true THEN 'Users can ask an administrator for an app.'
        WHEN false THEN 'Users cannot ask for an app, which drives them to other ways.'
        ELSE 'The policy does not say whether it is on.'
    END AS reason
FROM workflow
UNION ALL
SELECT
    'admin_consent_reviewers',
    concat(len(reviewers), CASE len(reviewers) WHEN 1 THEN ' reviewer' ELSE ' reviewers' END),
    CASE
        WHEN NOT coalesce(is_enabled, false) THEN 'unknown'
        WHEN len(reviewers) = 0 THEN 'risky'
        WHEN notifies_reviewers IS false THEN 'weak'
        ELSE 'safe'
    END,
    CASE
        WHEN NOT coalesce(is_enabled, false) THEN 'Not in force: users cannot ask for apps.'
        WHEN len(reviewers) = 0 THEN 'Users can ask for apps, but nobody is named to answer.'
        WHEN notifies_reviewers IS false THEN 'Reviewers are named, but get no mail about requests.'
        ELSE 'Reviewers are named (users, groups or roles).'
    END
FROM workflow
UNION ALL
SELECT
    'admin_consent_duration',
    request_days || ' days',
    CASE WHEN NOT coalesce(is_enabled, false) OR request_days IS NULL THEN 'unknown'
        WHEN request_days <= 30 THEN 'safe' ELSE 'weak' END,
    CASE
        WHEN NOT coalesce(is_enabled, false) THEN 'Not in force: users cannot ask for apps.'
        WHEN request_days IS NULL THEN 'The policy does not say it.'
        ELSE 'A request ends unanswered after ' || request_days || ' days.'
    END
FROM workflow
UNION ALL
SELECT
    'pending_consent_requests',
    CASE WHEN requests = 0 THEN 'none'
        ELSE concat(requests, ' for ', apps, CASE apps WHEN 1 THEN ' app' ELSE ' apps' END) END,
    CASE WHEN requests > 0 AND (oldest IS NULL OR oldest < CAST($as_of AS DATE) - 7) THEN 'weak' ELSE 'safe' END,
    CASE WHEN requests = 0 THEN 'No request waits for an answer.'
        ELSE 'The oldest waits since ' || coalesce(strftime(oldest, '%Y-%m-%d'), 'an unknown day') || '.' END
FROM asked
ORDER BY setting_id
