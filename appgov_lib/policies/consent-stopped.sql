-- grain: app to which consent was tried and refused
-- source: audited_apps, app_inventory
WITH grouped AS (
    SELECT
        object_id,
        max(app_id) AS app_id,
        max(app_name) AS name,
        count(*) AS attempts,
        count(DISTINCT actor_name) AS people,
        min(activity_at) AS first_at,
        max(activity_at) AS last_at,
        list(DISTINCT actor_name) FILTER (actor_name IS NOT NULL) AS actors,
        list(DISTINCT result_reason) FILTER (result_reason IS NOT NULL) AS reasons
    FROM audited_apps
    WHERE
        activity = 'Consent to application'
        AND result = 'failure'
        AND NOT is_first_party
        AND activity_at >= CAST($as_of AS DATE) + 1 - $days
        AND activity_at < CAST($as_of AS DATE) + 1
    GROUP BY object_id
)

SELECT
    coalesce(app.service_principal_id, grouped.object_id) AS service_principal_id,
    coalesce(app.app_id, grouped.app_id) AS app_id,
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
WHERE grouped.attempts >= $min_attempts
ORDER BY grouped.object_id
