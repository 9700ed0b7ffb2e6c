-- grain: highly privileged app that signed in with a federated credential for the first time
-- source: stg_sign_ins, app_inventory
WITH own AS (
    SELECT
        app_id,
        created_at,
        credential_type = 'federatedIdentityCredential' AS is_federated,
        created_at >= CAST($as_of AS DATE) + 1 - $days AS is_now,
        concat('AS', asn) AS network,
        ip_address
    FROM stg_sign_ins
    WHERE
        sign_in_type = 'service_principal'
        AND error_code = 0
        -- where the log does not name the kind of credential it may have been any
        AND credential_type IS NOT NULL
        AND created_at >= CAST($as_of AS DATE) + 1 - CAST($days_history AS INTEGER)
        AND created_at < CAST($as_of AS DATE) + 1
),

seen AS (
    SELECT
        app_id,
        count(*) FILTER (is_federated AND is_now) AS federated,
        min(created_at) FILTER (is_federated AND is_now) AS first_at,
        max(created_at) FILTER (is_federated AND is_now) AS last_at,
        count(*) FILTER (NOT is_now) AS others_before,
        list_sort(list(DISTINCT network) FILTER (is_federated AND is_now)) AS networks,
        list_sort(list(DISTINCT ip_address) FILTER (is_federated AND is_now)) AS addresses
    FROM own
    GROUP BY app_id
    HAVING
        bool_or(is_federated AND is_now)
        AND NOT bool_or(is_federated AND NOT is_now)
        AND count(*) FILTER (NOT is_now) >= $min_before
)

SELECT
    app.service_principal_id,
    app.app_id,
    app.display_name AS app_display_name,
    '' AS subject,
    CAST(seen.federated AS DOUBLE) AS measure,
    CAST($min_before AS DOUBLE) AS threshold,
    concat(
        'The app signed in ', seen.federated, CASE WHEN seen.federated = 1 THEN ' time' ELSE ' times' END,
        ' with a federated credential, first on ', strftime(seen.first_at, '%Y-%m-%d %H:%M'), ' UTC from ',
        array_to_string(seen.networks[1:2], ', '), '; in the ', CAST($days_history AS INTEGER) - $days,
        ' days before the period none of its ', seen.others_before, ' sign-ins did. It holds ',
        app.high_privilege_count, CASE WHEN app.high_privilege_count = 1 THEN ' permission' ELSE ' permissions' END,
        ' of high privilege.'
    ) AS reason,
    json_object(
        'sign_ins', seen.federated, 'first_at', seen.first_at, 'last_at', seen.last_at, 'networks', seen.networks,
        'addresses', seen.addresses[1:10], 'others_before', seen.others_before
    ) AS evidence
FROM seen
INNER JOIN app_inventory AS app
    ON seen.app_id = app.app_id
WHERE app.is_in_scope AND app.high_privilege_count >= $min_high_permissions
ORDER BY app.service_principal_id
