-- grain: app that signed in at a risk Microsoft calls low
-- source: stg_sign_ins, app_inventory, reference/first_party_apps.csv
-- Sign-ins of managed identities are marked low as a matter of course, so they are not asked about.
WITH risky AS (
    SELECT
        coalesce(app_id, service_principal_id) AS key,
        max(app_id) AS app_id,
        max(service_principal_id) AS service_principal_id,
        max(coalesce(service_principal_name, app_name)) AS name,
        count(*) FILTER (risk_level = 'low') AS sign_ins,
        count(*) AS all_sign_ins,
        min(created_at) FILTER (risk_level = 'low') AS first_at,
        max(created_at) FILTER (risk_level = 'low') AS last_at,
        list(DISTINCT ip_address) FILTER (risk_level = 'low' AND ip_address IS NOT NULL) AS addresses
    FROM stg_sign_ins
    WHERE
        sign_in_type = 'service_principal'
        -- what somebody has looked at is no news
        AND coalesce(risk_state, '') NOT IN ('dismissed', 'remediated', 'confirmedSafe')
        AND created_at >= CAST($as_of AS DATE) + 1 - $days
        AND created_at < CAST($as_of AS DATE) + 1
    GROUP BY coalesce(app_id, service_principal_id)
)

SELECT
    coalesce(app.service_principal_id, risky.service_principal_id) AS service_principal_id,
    risky.app_id,
    coalesce(app.display_name, risky.name) AS app_display_name,
    '' AS subject,
    CAST(risky.sign_ins AS DOUBLE) AS measure,
    CAST($min_sign_ins AS DOUBLE) AS threshold,
    concat(
        risky.sign_ins, ' of ', risky.all_sign_ins, CASE WHEN risky.all_sign_ins = 1 THEN ' sign-in' ELSE ' sign-ins' END,
        ' of the app carried a risk that Microsoft calls low, first on ',
        strftime(risky.first_at, '%Y-%m-%d %H:%M'), ' UTC.'
    ) AS reason,
    json_object(
        'first_at', risky.first_at, 'last_at', risky.last_at, 'sign_ins', risky.sign_ins,
        'all_sign_ins', risky.all_sign_ins, 'addresses', list_sort(risky.addresses)
    ) AS evidence
FROM risky
LEFT JOIN app_inventory AS app
    ON risky.app_id = app.app_id
LEFT JOIN ref_first_party_apps AS microsoft
    ON risky.app_id = microsoft.app_id
WHERE
    coalesce(app.is_first_party, microsoft.app_id IS NOT NULL) IS NOT TRUE
    AND app.service_principal_type IS DISTINCT FROM 'ManagedIdentity'
    AND risky.sign_ins >= $min_sign_ins
ORDER BY service_principal_id
