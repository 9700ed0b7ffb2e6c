-- grain: app that signed in at a risk Microsoft raised
-- source: stg_sign_ins, app_inventory, reference/first_party_apps.csv
WITH risky AS (
    SELECT
        coalesce(app_id, service_principal_id) AS key,
        max(app_id) AS app_id,
        max(service_principal_id) AS service_principal_id,
        max(coalesce(service_principal_name, app_name)) AS name,
        count(*) AS sign_ins,
        bool_or(risk_level = 'high') AS has_high,
        min(created_at) AS first_at,
        max(created_at) AS last_at,
        list(DISTINCT ip_address) FILTER (ip_address IS NOT NULL) AS addresses,
        list(DISTINCT risk_state) FILTER (risk_state IS NOT NULL) AS states
    FROM stg_sign_ins
    WHERE
        sign_in_type IN ('service_principal', 'managed_identity')
        AND risk_level IN ('medium', 'high')
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
        risky.sign_ins, CASE WHEN risky.sign_ins = 1 THEN ' sign-in' ELSE ' sign-ins' END, ' of the app carried a risk that Microsoft calls ',
        CASE WHEN risky.has_high THEN 'high' ELSE 'medium' END, ', first on ',
        strftime(risky.first_at, '%Y-%m-%d %H:%M'), ' UTC; nobody has dismissed it.'
    ) AS reason,
    json_object(
        'first_at', risky.first_at, 'last_at', risky.last_at, 'sign_ins', risky.sign_ins,
        'addresses', list_sort(risky.addresses), 'risk_states', list_sort(risky.states)
    ) AS evidence
FROM risky
LEFT JOIN app_inventory AS app
    ON risky.app_id = app.app_id
LEFT JOIN ref_first_party_apps AS microsoft
    ON risky.app_id = microsoft.app_id
WHERE
    coalesce(app.is_first_party, microsoft.app_id IS NOT NULL) IS NOT TRUE
    AND risky.sign_ins >= $min_sign_ins
ORDER BY service_principal_id
