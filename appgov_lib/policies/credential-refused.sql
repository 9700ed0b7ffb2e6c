-- grain: app whose credential was refused in every sign-in of the period
-- source: stg_sign_ins, app_inventory, reference/first_party_apps.csv
-- 7000215 wrong secret, 7000222 expired secret, 700024 assertion outside its time, 700027 certificate not registered.
WITH tried AS (
    SELECT
        coalesce(app_id, service_principal_id) AS key,
        max(app_id) AS app_id,
        max(service_principal_id) AS service_principal_id,
        max(coalesce(service_principal_name, app_name)) AS name,
        count(*) FILTER (error_code = 0) AS good,
        count(*) FILTER (error_code IN (7000215, 7000222, 700024, 700027)) AS refused,
        count(*) FILTER (error_code = 7000222) AS expired,
        min(created_at) FILTER (error_code IN (7000215, 7000222, 700024, 700027)) AS first_at,
        max(created_at) FILTER (error_code IN (7000215, 7000222, 700024, 700027)) AS last_at,
        list(DISTINCT error_code) FILTER (error_code IN (7000215, 7000222, 700024, 700027)) AS codes,
        list(DISTINCT ip_address) FILTER (error_code <> 0 AND ip_address IS NOT NULL) AS addresses
    FROM stg_sign_ins
    WHERE
        sign_in_type = 'service_principal'
        AND created_at >= CAST($as_of AS DATE) + 1 - $days
        AND created_at < CAST($as_of AS DATE) + 1
    GROUP BY coalesce(app_id, service_principal_id)
)

SELECT
    coalesce(app.service_principal_id, tried.service_principal_id) AS service_principal_id,
    tried.app_id,
    coalesce(app.display_name, tried.name) AS app_display_name,
    '' AS subject,
    CAST(tried.refused AS DOUBLE) AS measure,
    CAST($min_refused AS DOUBLE) AS threshold,
    concat(
        'All ', tried.refused, ' sign-ins of the app were refused for its credential, first on ',
        strftime(tried.first_at, '%Y-%m-%d %H:%M'), ' UTC (error ',
        array_to_string(list_transform(list_sort(tried.codes), lambda c: CAST(c AS VARCHAR)), ', '), '): ',
        CASE WHEN tried.expired > 0 THEN 'its secret has ended and something still uses it.'
            ELSE 'something tries a secret or certificate that is not, or no longer, the app''s.' END
    ) AS reason,
    json_object(
        'first_at', tried.first_at, 'last_at', tried.last_at, 'refused', tried.refused, 'expired', tried.expired,
        'error_codes', list_sort(tried.codes), 'addresses', list_sort(tried.addresses)
    ) AS evidence
FROM tried
LEFT JOIN app_inventory AS app
    ON tried.app_id = app.app_id
LEFT JOIN ref_first_party_apps AS microsoft
    ON tried.app_id = microsoft.app_id
WHERE
    coalesce(app.is_first_party, microsoft.app_id IS NOT NULL) IS NOT TRUE
    AND app.service_principal_type IS DISTINCT FROM 'ManagedIdentity'
    AND tried.good = 0
    AND tried.refused >= $min_refused
ORDER BY service_principal_id
