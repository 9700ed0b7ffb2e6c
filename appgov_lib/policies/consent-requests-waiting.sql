-- grain: tenant in which requests for apps wait too long for an answer
-- source: stg_user_consent_requests, stg_app_consent_requests, stg_organization
WITH waiting AS (
    SELECT
        request.parent_id,
        coalesce(max(app.display_name), max(app.app_id), request.parent_id) AS name,
        max(app.app_id) AS app_id,
        max(app.pending_scopes) AS scopes,
        count(*) AS requests,
        min(request.created_at) AS oldest
    FROM stg_user_consent_requests AS request
    LEFT JOIN stg_app_consent_requests AS app
        ON request.parent_id = app.consent_request_id
    WHERE
        request.status = 'InProgress'
        AND request.created_at < CAST($as_of AS DATE) + 1 - $days_waiting * INTERVAL 1 DAY
    GROUP BY request.parent_id
),

summed AS (
    SELECT
        sum(requests) AS requests,
        count(*) AS apps,
        min(oldest) AS oldest,
        list(
            {'name': name, 'app_id': app_id, 'scopes': scopes, 'requests': requests, 'oldest': oldest}
            ORDER BY oldest, parent_id
        ) AS asked_for
    FROM waiting
)

SELECT
    organization.tenant_id AS service_principal_id,
    CAST(NULL AS VARCHAR) AS app_id,
    'Tenant settings' AS app_display_name,
    'pending_consent_requests' AS subject,
    CAST(date_diff('day', CAST(summed.oldest AS DATE), CAST($as_of AS DATE)) AS DOUBLE) AS measure,
    CAST($days_waiting AS DOUBLE) AS threshold,
    concat(
        summed.requests, CASE WHEN summed.requests = 1 THEN ' request' ELSE ' requests' END, ' for ',
        summed.apps, CASE WHEN summed.apps = 1 THEN ' app' ELSE ' apps' END,
        ' waited more than ', $days_waiting, ' days for an answer, the oldest since ',
        strftime(summed.oldest, '%Y-%m-%d'), '.'
    ) AS reason,
    json_object('asked_for', summed.asked_for) AS evidence
FROM summed
CROSS JOIN (SELECT min(tenant_id) AS tenant_id FROM stg_organization) AS organization
WHERE
    summed.apps > 0
    AND organization.tenant_id IS NOT NULL
ORDER BY service_principal_id
