-- grain: powerful app that a person used for the first time, from a network nobody in the tenant had used
-- source: stg_sign_ins, app_permissions, app_inventory
WITH powers AS (
    SELECT permission.app_id, list_sort(list(DISTINCT permission.permission)) AS permissions
    FROM app_permissions AS permission
    INNER JOIN app_inventory AS app ON permission.app_id = app.app_id
    WHERE app.is_in_scope AND permission.permission_type = 'delegated' AND permission.privilege_level = 'high'
    GROUP BY permission.app_id
),

-- Each person's first sign-in of the period to such an app. Where a log does not tell the network, as v1.0 of Graph
-- does not, the country has to do.
arrivals AS (
    SELECT
        user_id,
        app_id,
        user_principal_name AS person,
        coalesce('AS' || asn, country) AS network,
        country,
        ip_address AS address,
        coalesce(resource_name, resource_id) AS resource,
        created_at AS first_at
    FROM stg_sign_ins
    WHERE
        user_id IS NOT NULL AND error_code = 0 AND coalesce(asn, country) IS NOT NULL
        AND app_id IN (SELECT app_id FROM powers)
        AND created_at >= CAST($as_of AS DATE) + 1 - $days AND created_at < CAST($as_of AS DATE) + 1
    QUALIFY row_number() OVER (PARTITION BY user_id, app_id ORDER BY created_at, sign_in_id) = 1
),

-- a network counts as known as soon as anybody signed in from it, to anything
networks AS (
    SELECT network, min(first_at) AS first_at
    FROM (
        SELECT unnest(['AS' || asn, country]) AS network, min(created_at) AS first_at
        FROM stg_sign_ins
        WHERE error_code = 0 AND created_at >= CAST($as_of AS DATE) + 1 - $days - CAST($history_days AS INTEGER)
        GROUP BY asn, country
    )
    GROUP BY network
),

-- the first sign-in to the app is the first of the network, but for what somebody did in that hour
fresh AS (
    SELECT arrivals.*
    FROM arrivals
    INNER JOIN networks ON arrivals.network = networks.network
    WHERE networks.first_at >= arrivals.first_at - $minutes * INTERVAL 1 MINUTE
),

-- what the same people did before: of a person who is new everything would be new
past AS (
    SELECT user_id, app_id, coalesce('AS' || asn, country) AS network, min(created_at) AS first_at
    FROM stg_sign_ins
    WHERE
        error_code = 0 AND user_id IN (SELECT user_id FROM fresh)
        AND created_at >= CAST($as_of AS DATE) + 1 - $days - CAST($history_days AS INTEGER)
        AND created_at < CAST($as_of AS DATE) + 1 - $days
    GROUP BY ALL
),

people AS (
    SELECT user_id, min(first_at) AS known_since, count(DISTINCT network) AS networks FROM past GROUP BY user_id
),

firsts AS (
    SELECT fresh.*, people.networks
    FROM fresh
    INNER JOIN people ON fresh.user_id = people.user_id
    ANTI JOIN past ON fresh.user_id = past.user_id AND fresh.app_id = past.app_id
    WHERE
        people.networks <= $max_networks
        AND people.known_since < CAST($as_of AS DATE) + 1 - $days - CAST($min_history_days AS INTEGER)
)

SELECT
    app.service_principal_id,
    app.app_id,
    app.display_name AS app_display_name,
    '' AS subject,
    CAST(count(DISTINCT firsts.user_id) AS DOUBLE) AS measure,
    CAST($min_people AS DOUBLE) AS threshold,
    concat(
        count(DISTINCT firsts.user_id), CASE WHEN count(DISTINCT firsts.user_id) = 1 THEN ' person' ELSE ' people' END,
        ' used the app for the first time from a network that nobody here had used: ',
        arg_min(concat(coalesce(firsts.person, firsts.user_id), ' from ', firsts.network, ' (',
            coalesce(firsts.country, 'country unknown'), ')'), (firsts.first_at, firsts.user_id)),
        ' on ', strftime(min(firsts.first_at), '%Y-%m-%d %H:%M'), ' UTC. For whoever signs in the app may use ',
        array_to_string(max(powers.permissions)[1:3], ', '), '.'
    ) AS reason,
    json_object(
        'people', list({'user': coalesce(firsts.person, firsts.user_id), 'at': firsts.first_at,
            'network': firsts.network, 'country': firsts.country, 'address': firsts.address,
            'resource': firsts.resource, 'networks_before': firsts.networks}
            ORDER BY firsts.first_at, firsts.user_id)[1:10],
        'permissions', max(powers.permissions), 'app_origin', max(app.app_origin)
    ) AS evidence
FROM firsts
INNER JOIN powers ON firsts.app_id = powers.app_id
INNER JOIN app_inventory AS app ON firsts.app_id = app.app_id
GROUP BY app.service_principal_id, app.app_id, app.display_name
HAVING count(DISTINCT firsts.user_id) >= $min_people
ORDER BY app.service_principal_id
