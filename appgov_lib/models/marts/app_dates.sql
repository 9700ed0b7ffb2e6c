-- grain: service principal
-- source: stg_service_principals, stg_applications, stg_oauth_app_info, stg_directory_audits, grant_history
WITH consents AS (
    SELECT
        service_principal_id,
        -- one permission that nothing dates may be the oldest: then the first day is not known
        CASE WHEN bool_and(valid_from IS NOT NULL) THEN min(valid_from) END AS first_consented_at,
        CASE
            WHEN bool_and(valid_from IS NOT NULL) THEN arg_min(valid_from_source, (valid_from, valid_from_source))
            ELSE 'before first snapshot'
        END AS first_consented_source
    FROM grant_history
    GROUP BY service_principal_id
),

changes AS (
    SELECT object_id, max(activity_at) AS changed_at
    FROM (
        SELECT unnest(target_ids) AS object_id, activity_at
        FROM stg_directory_audits
        WHERE result IS DISTINCT FROM 'failure'
            AND activity_at < CAST($as_of AS DATE) + 1
            AND regexp_matches(activity, '(?i)^update (application|service principal)')
    )
    GROUP BY object_id
),

registrations AS (
    SELECT app_id, min(application_id) AS application_id, min(created_at) AS registered_at
    FROM stg_applications
    WHERE app_id IS NOT NULL
    GROUP BY app_id
),

dated AS (
    SELECT
        s.service_principal_id,
        r.registered_at,
        coalesce(s.created_at, o.added_at, r.registered_at) AS added_on,
        greatest(p.changed_at, a.changed_at) AS audited_at,
        CASE WHEN o.last_modified_at < CAST($as_of AS DATE) + 1 THEN o.last_modified_at END AS noted_at
    FROM stg_service_principals AS s
    LEFT JOIN registrations AS r ON r.app_id = s.app_id
    LEFT JOIN stg_oauth_app_info AS o ON o.app_id = s.app_id
    LEFT JOIN changes AS p ON p.object_id = s.service_principal_id
    LEFT JOIN changes AS a ON a.object_id = r.application_id
)

SELECT
    d.service_principal_id,
    d.registered_at,
    d.added_on,
    c.first_consented_at,
    c.first_consented_source,
    greatest(d.audited_at, d.noted_at) AS last_modified_at,
    CASE
        WHEN d.audited_at >= coalesce(d.noted_at, d.audited_at) THEN 'audit log'
        WHEN d.noted_at IS NOT NULL THEN 'app governance'
    END AS last_modified_source
FROM dated AS d
LEFT JOIN consents AS c ON c.service_principal_id = d.service_principal_id
ORDER BY d.service_principal_id
