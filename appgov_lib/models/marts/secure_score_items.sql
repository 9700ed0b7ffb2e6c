-- grain: control of Microsoft Secure Score that is about apps and consent
-- source: stg_secure_scores, stg_secure_score_profiles
WITH newest AS (
    SELECT created_at, control_scores
    FROM stg_secure_scores
    ORDER BY created_at DESC NULLS LAST, score_id
    LIMIT 1
),

scores AS (
    SELECT
        body ->> '$.controlName' AS control_id,
        max(TRY_CAST(body ->> '$.score' AS DOUBLE)) AS score,
        min(filled(body ->> '$.implementationStatus')) AS implementation_status,
        min(filled(body ->> '$.description')) AS description,
        min(filled(body ->> '$.controlCategory')) AS category,
        any_value(created_at) AS scored_at
    FROM (SELECT created_at, unnest(items(control_scores)) AS body FROM newest)
    GROUP BY 1
),

controls AS (
    SELECT
        coalesce(p.control_id, s.control_id) AS control_id,
        coalesce(p.title, s.description) AS title,
        coalesce(p.category, s.category) AS category,
        s.score,
        p.max_score,
        s.implementation_status,
        s.scored_at,
        -- newest word of a person on it: Ignored, ThirdParty, Reviewed
        list_sort(list_transform(items(p.state_updates), lambda u: {
            'at': json_extract_string(u, '$.updatedDateTime'), 'state': json_extract_string(u, '$.state')
        }))[-1].state AS said,
        p.action_url
    FROM stg_secure_score_profiles AS p
    FULL JOIN scores AS s ON s.control_id = p.control_id
    WHERE p.is_deprecated IS NOT TRUE
)

SELECT
    control_id,
    title,
    category,
    score,
    max_score,
    CASE
        WHEN lower(said) IN ('ignored', 'thirdparty') THEN lower(said)
        WHEN score IS NULL OR max_score IS NULL THEN 'unknown'
        WHEN score >= max_score THEN 'done'
        WHEN score > 0 THEN 'partly done'
        ELSE 'open'
    END AS state,
    implementation_status,
    action_url,
    scored_at
FROM controls
-- The category is no help: 'Apps' holds mail and meetings, and Microsoft moves app controls to 'Identity'.
WHERE starts_with(control_id, 'AppG_')
    OR control_id IN ('IntegratedApps', 'aad_admin_consent_workflow', 'aad_third_party_apps')
    OR regexp_matches(title, '\b(OAuth|consent|app registrations?|service principals?|workload identit)', 'i')
ORDER BY state = 'done', max_score DESC NULLS LAST, control_id
