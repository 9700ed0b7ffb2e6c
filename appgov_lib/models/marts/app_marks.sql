-- grain: service principal
-- source: stg_service_principals, stg_applications, stg_oauth_app_info, stg_cloud_app_events, covered_days
-- What Microsoft says of an app beside the directory's plain facts. NULL: nobody said.
WITH registrations AS (
    SELECT
        app_id,
        CASE
            WHEN TRY_CAST(certification ->> '$.isCertifiedByMicrosoft' AS BOOLEAN) THEN 'certified'
            WHEN TRY_CAST(certification ->> '$.isPublisherAttested' AS BOOLEAN) THEN 'attested'
            ELSE 'none'
        END AS certification,
        publisher_domain
    FROM stg_applications
    WHERE app_id IS NOT NULL
    QUALIFY row_number() OVER (PARTITION BY app_id ORDER BY application_id) = 1
),

label_cover AS (
    SELECT count(*) > 0 AS has_days
    FROM covered_days
    WHERE source = 'cloud_app_events' AND day BETWEEN CAST($as_of AS DATE) - 29 AND CAST($as_of AS DATE)
),

labels AS (
    SELECT app_id, list_sort(list(DISTINCT sensitivity_label_id)) AS label_ids
    FROM stg_cloud_app_events
    WHERE sensitivity_label_id IS NOT NULL
        AND app_id IS NOT NULL
        AND occurred_at >= CAST($as_of AS DATE) - 29
        AND occurred_at < CAST($as_of AS DATE) + 1
    GROUP BY app_id
)

SELECT
    s.service_principal_id,
    -- '#microsoft.graph.agentIdentity' and its kin; the common type carries no name
    nullif(regexp_replace(s.odata_type, '^#microsoft\.graph\.', ''), 'servicePrincipal') AS object_type,
    coalesce(regexp_matches(s.odata_type, '(?i)\.agent'), false) AS is_agent,
    s.sign_in_audience,
    s.verified_publisher_added_at,
    r.publisher_domain,
    -- only the tenant that registers an app is told its certification
    r.certification,
    o.app_status AS microsoft_app_status,
    o.privilege_level AS microsoft_privilege_level,
    o.risk_score AS microsoft_risk_score,
    o.consented_users AS microsoft_consented_users,
    o.observed_at AS microsoft_observed_at,
    CASE WHEN o.last_used_at < CAST($as_of AS DATE) + 1 THEN o.last_used_at END AS microsoft_last_used_at,
    coalesce(l.label_ids, CASE WHEN v.has_days THEN CAST([] AS VARCHAR[]) END) AS sensitivity_label_ids
FROM stg_service_principals AS s
CROSS JOIN label_cover AS v
LEFT JOIN registrations AS r ON r.app_id = s.app_id
LEFT JOIN stg_oauth_app_info AS o ON o.app_id = s.app_id
LEFT JOIN labels AS l ON l.app_id = s.app_id
ORDER BY s.service_principal_id
