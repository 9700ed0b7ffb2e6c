-- grain: person or app that brought many apps into the tenant within minutes
-- source: stg_directory_audits, app_inventory, reference/first_party_apps.csv
WITH born AS (
    SELECT
        lower(audit.target_ids[1]) AS service_principal_id,
        min(audit.target_name) AS name,
        audit.actor_id,
        min(audit.actor_name) AS actor_name,
        min(audit.activity_at) AS born_at
    FROM stg_directory_audits AS audit
    LEFT JOIN app_inventory AS actor
        ON audit.actor_id = actor.service_principal_id
    LEFT JOIN app_inventory AS app
        ON lower(audit.target_ids[1]) = app.service_principal_id
    WHERE
        audit.activity = 'Add service principal'
        AND audit.result IS DISTINCT FROM 'failure'
        AND audit.actor_id IS NOT NULL
        AND audit.target_ids[1] IS NOT NULL
        AND audit.activity_at >= CAST($as_of AS DATE) + 1 - $days
        AND audit.activity_at < CAST($as_of AS DATE) + 1
        -- Microsoft provisions what a licence brings; its apps and managed identities come without anybody's doing
        AND actor.is_first_party IS NOT TRUE
        AND coalesce(audit.actor_app_id NOT IN (SELECT app_id FROM ref_first_party_apps WHERE app_id IS NOT NULL), TRUE)
        AND app.is_first_party IS NOT TRUE
        AND app.service_principal_type IS DISTINCT FROM 'ManagedIdentity'
    GROUP BY lower(audit.target_ids[1]), audit.actor_id
),

windows AS (
    SELECT
        *,
        count(*) OVER following AS apps,
        max(born_at) OVER following AS last_at
    FROM born
    WINDOW following AS (
        PARTITION BY actor_id ORDER BY born_at
        RANGE BETWEEN CURRENT ROW AND $minutes * INTERVAL 1 MINUTE FOLLOWING
    )
),

bursts AS (
    SELECT *
    FROM windows
    WHERE apps >= $min_apps
    -- the largest burst of each actor, the first of them where two are as large
    QUALIFY row_number() OVER (PARTITION BY actor_id ORDER BY apps DESC, born_at, service_principal_id) = 1
),

names AS (
    SELECT
        bursts.actor_id,
        list_sort(list(coalesce(born.name, born.service_principal_id))) AS names
    FROM bursts
    INNER JOIN born
        ON bursts.actor_id = born.actor_id AND born.born_at BETWEEN bursts.born_at AND bursts.last_at
    GROUP BY bursts.actor_id
)

SELECT
    bursts.service_principal_id,
    app.app_id,
    coalesce(app.display_name, bursts.name) AS app_display_name,
    bursts.actor_id AS subject,
    CAST(bursts.apps AS DOUBLE) AS measure,
    CAST($min_apps AS DOUBLE) AS threshold,
    concat(
        coalesce(bursts.actor_name, bursts.actor_id), ' brought ', bursts.apps, ' apps into the tenant from ',
        strftime(bursts.born_at, '%Y-%m-%d %H:%M'), ' UTC to ', strftime(bursts.last_at, '%H:%M'), ' UTC (',
        array_to_string(names.names[1:3], ', '), ').'
    ) AS reason,
    json_object(
        'actor_id', bursts.actor_id, 'actor_name', bursts.actor_name, 'first_at', bursts.born_at,
        'last_at', bursts.last_at, 'apps', names.names
    ) AS evidence
FROM bursts
INNER JOIN names
    ON bursts.actor_id = names.actor_id
LEFT JOIN app_inventory AS app
    ON bursts.service_principal_id = app.service_principal_id
ORDER BY bursts.service_principal_id
