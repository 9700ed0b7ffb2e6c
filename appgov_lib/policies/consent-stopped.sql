-- grain: app to which consent was tried and refused
-- source: stg_directory_audits, app_inventory
WITH refused AS (
    SELECT
        lower(target_ids[1]) AS object_id,
        target_name,
        audit_id,
        activity_at,
        actor_name,
        result_reason
    FROM stg_directory_audits
    WHERE
        activity = 'Consent to application'
        AND result = 'failure'
        AND activity_at >= CAST($as_of AS DATE) + 1 - $days
        AND activity_at < CAST($as_of AS DATE) + 1
        AND target_ids[1] IS NOT NULL
),

grouped AS (
    SELECT
        object_id,
        any_value(target_name) AS name,
        count(DISTINCT audit_id) AS attempts,
        count(DISTINCT actor_name) AS people,
        min(activity_at) AS first_at,
        max(activity_at) AS last_at,
        list(DISTINCT actor_name) FILTER (actor_name IS NOT NULL) AS actors,
        list(DISTINCT result_reason) FILTER (result_reason IS NOT NULL) AS reasons
    FROM refused
    GROUP BY object_id
)

SELECT
    coalesce(app.service_principal_id, grouped.object_id) AS service_principal_id,
    app.app_id,
    coalesce(app.display_name, grouped.name) AS app_display_name,
    '' AS subject,
    CAST(grouped.attempts AS DOUBLE) AS measure,
    CAST($min_attempts AS DOUBLE) AS threshold,
    concat(
        'Consent was refused ', grouped.attempts, CASE WHEN grouped.attempts = 1 THEN ' time' ELSE ' times' END,
        ' from ', strftime(grouped.first_at, '%Y-%m-%d %H:%M'), ' UTC on, asked for by ',
        CASE WHEN len(grouped.actors) > 0 THEN array_to_string(list_sort(grouped.actors)[1:3], ', ') ELSE 'nobody named' END,
        '; why: ', CASE WHEN len(grouped.reasons) > 0 THEN array_to_string(list_sort(grouped.reasons)[1:2], ', ') ELSE 'not said' END,
        '. Nothing was granted.'
    ) AS reason,
    json_object(
        'object_id', grouped.object_id, 'name', grouped.name, 'first_at', grouped.first_at, 'last_at', grouped.last_at,
        'actors', list_sort(grouped.actors), 'people', grouped.people, 'reasons', list_sort(grouped.reasons)
    ) AS evidence
FROM grouped
LEFT JOIN app_inventory AS app
    ON grouped.object_id IN (app.service_principal_id, app.application_id)
WHERE
    app.is_first_party IS NOT TRUE
    AND grouped.attempts >= $min_attempts
ORDER BY grouped.object_id
