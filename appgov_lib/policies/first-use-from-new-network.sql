-- grain: powerful app that a person used for the first time, from a network nobody in the tenant had used
-- source: stg_sign_ins, app_permissions, app_inventory
WITH powers AS (
    SELECT permission.app_id, list_sort(list(DISTINCT permission.permission)) AS permissions
    FROM app_permissions AS permission
    INNER JOIN app_inventory AS app ON permission.app_id = app.app_id
    WHERE app.is_in_scope AND permission.permission_type = 'delegated' AND permission.privilege_level = 'high'
    GROUP BY permission.app_id
),

-- One pass over the sign-ins: who used which app from which network, and since when. Where a log does not tell the
-- network, as v1.0 of Graph does not, the country has to do.
used AS (
    SELECT
        user_id,
        app_id,
        coalesce('AS' || asn, country) AS network,
        country,
        max(user_principal_name) AS person,
        max(ip_address) AS address,
        max(coalesce(resource_name, resource_id)) AS resource,
        min(created_at) AS first_at,
        count(*) AS sign_ins
    FROM stg_sign_ins
    WHERE
        user_id IS NOT NULL AND error_code = 0 AND coalesce(asn, country) IS NOT NULL
        AND created_at >= CAST($as_of AS DATE) + 1 - $days - CAST($history_days AS INTEGER)
        AND created_at < CAST($as_of AS DATE) + 1
    GROUP BY ALL
),

apps AS (
    SELECT user_id, app_id, min(first_at) AS first_at FROM used GROUP BY user_id, app_id
),

-- a network counts as known as soon as anybody signed in from it, to anything
networks AS (
    SELECT network, min(first_at) AS first_at
    FROM (SELECT network, first_at FROM used UNION ALL SELECT country, first_at FROM used)
    GROUP BY network
),

-- of a person who is new everything would be new
people AS (
    SELECT user_id, min(first_at) AS known_since, count(DISTINCT network) AS networks
    FROM used
    WHERE first_at < CAST($as_of AS DATE) + 1 - $days
    GROUP BY user_id
),

firsts AS (
    SELECT used.*, people.networks, people.known_since
    FROM used
    INNER JOIN powers ON used.app_id = powers.app_id
    INNER JOIN apps ON used.user_id = apps.user_id AND used.app_id = apps.app_id
    INNER JOIN networks ON used.network = networks.network
    INNER JOIN people ON used.user_id = people.user_id
    WHERE
        -- the first sign-in to the app is the first of the network, but for what the same person did in that hour
        apps.first_at >= CAST($as_of AS DATE) + 1 - $days
        AND used.first_at = apps.first_at
        AND networks.first_at >= used.first_at - $minutes * INTERVAL 1 MINUTE
        AND people.networks <= $max_networks
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
            'resource': firsts.resource, 'networks_before': firsts.networks} ORDER BY firsts.first_at, firsts.user_id)[1:10],
        'permissions', max(powers.permissions), 'app_origin', max(app.app_origin)
    ) AS evidence
FROM firsts
INNER JOIN powers ON firsts.app_id = powers.app_id
INNER JOIN app_inventory AS app ON firsts.app_id = app.app_id
GROUP BY app.service_principal_id, app.app_id, app.display_name
HAVING count(DISTINCT firsts.user_id) >= $min_people
ORDER BY app.service_principal_id
