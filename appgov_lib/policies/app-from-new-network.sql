-- grain: highly privileged app that signed in as itself from a network or country never seen of it
-- source: app_first_seen, stg_sign_ins, app_inventory
WITH places AS (
    SELECT
        app_id,
        dimension,
        value,
        values_before,
        look_back_days
    FROM app_first_seen
    WHERE
        family = 'sign_ins'
        AND dimension IN ('network', 'country')
        AND novelty = 'new'
        -- an app that moves about, or that was watched for a short time only, shows new places every week
        AND values_before <= $max_places
        AND look_back_days >= $min_history_days
),

own AS (
    SELECT
        app_id,
        concat('AS', asn) AS network,
        country,
        ip_address,
        created_at
    FROM stg_sign_ins
    WHERE
        sign_in_type = 'service_principal'
        AND error_code = 0
        AND created_at >= CAST($as_of AS DATE) + 1 - $days
        AND created_at < CAST($as_of AS DATE) + 1
),

seen AS (
    SELECT
        places.app_id,
        list_sort(list(DISTINCT places.dimension || ' ' || places.value)) AS news,
        max(places.values_before) AS values_before,
        min(places.look_back_days) AS look_back_days,
        count(DISTINCT own.created_at) AS sign_ins,
        min(own.created_at) AS first_at,
        max(own.created_at) AS last_at,
        list_sort(list(DISTINCT own.ip_address) FILTER (own.ip_address IS NOT NULL)) AS addresses
    FROM places
    INNER JOIN own
        ON places.app_id = own.app_id
        AND places.value = CASE places.dimension WHEN 'network' THEN own.network ELSE own.country END
    GROUP BY places.app_id
)

SELECT
    app.service_principal_id,
    app.app_id,
    app.display_name AS app_display_name,
    '' AS subject,
    CAST(len(seen.news) AS DOUBLE) AS measure,
    CAST($max_places AS DOUBLE) AS threshold,
    concat(
        'The app signed in from ', array_to_string(seen.news[1:3], ' and '), ' for the first time, ', seen.sign_ins,
        CASE WHEN seen.sign_ins = 1 THEN ' time' ELSE ' times' END, ' from ', strftime(seen.first_at, '%Y-%m-%d %H:%M'),
        ' UTC on; in the ', seen.look_back_days, ' days before, it was seen from ', seen.values_before, ' such place',
        CASE WHEN seen.values_before = 1 THEN '' ELSE 's' END, ' at most. It holds ', app.high_privilege_count,
        CASE WHEN app.high_privilege_count = 1 THEN ' permission' ELSE ' permissions' END, ' of high privilege.'
    ) AS reason,
    json_object(
        'places', seen.news, 'first_at', seen.first_at, 'last_at', seen.last_at, 'sign_ins', seen.sign_ins,
        'addresses', seen.addresses[1:10], 'places_before', seen.values_before, 'look_back_days', seen.look_back_days
    ) AS evidence
FROM seen
INNER JOIN app_inventory AS app
    ON seen.app_id = app.app_id
WHERE app.is_in_scope AND app.high_privilege_count >= $min_high_permissions
ORDER BY app.service_principal_id
