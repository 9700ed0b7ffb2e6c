-- grain: app new in the tenant whose consent is mostly refused
-- source: stg_directory_audits, app_inventory
WITH asked AS (
    SELECT
        lower(unnest(target_ids)) AS target_id,
        result,
        actor_id,
        activity_at
    FROM stg_directory_audits
    WHERE
        activity = 'Consent to application'
        AND activity_at >= CAST($as_of AS DATE) + 1 - CAST($days_new AS INTEGER)
        AND activity_at < CAST($as_of AS DATE) + 1
),

counted AS (
    SELECT
        app.service_principal_id,
        count(DISTINCT asked.actor_id) FILTER (asked.result = 'failure') AS refused,
        count(DISTINCT asked.actor_id) AS people,
        max(asked.activity_at) AS last_at
    FROM asked
    INNER JOIN app_inventory AS app
        ON asked.target_id = app.service_principal_id
    WHERE
        app.is_in_scope
        AND coalesce(app.added_on, app.created_at) >= CAST($as_of AS DATE) + 1 - CAST($days_new AS INTEGER)
    GROUP BY app.service_principal_id
)

SELECT
    app.service_principal_id,
    app.app_id,
    app.display_name AS app_display_name,
    '' AS subject,
    CAST(counted.refused AS DOUBLE) AS measure,
    CAST($min_refused AS DOUBLE) AS threshold,
    concat(
        'Of ', counted.people, ' people who were asked to consent to this new app, ', counted.refused,
        ' did not, or could not; the last was asked on ', strftime(counted.last_at, '%Y-%m-%d'), '.'
    ) AS reason,
    json_object(
        'people', counted.people, 'refused', counted.refused, 'publisher_name', app.publisher_name,
        'publisher_verified', app.publisher_verified
    ) AS evidence
FROM counted
INNER JOIN app_inventory AS app
    ON counted.service_principal_id = app.service_principal_id
WHERE
    counted.refused >= $min_refused
    AND counted.refused >= $min_share * counted.people
ORDER BY app.service_principal_id
