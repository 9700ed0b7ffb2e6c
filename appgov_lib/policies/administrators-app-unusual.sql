-- grain: app that a holder of a privileged role consented to and that did unusual things
-- source: stg_delegated_grants, stg_directory_role_assignments, anomalies, app_inventory
WITH holders AS (
    SELECT DISTINCT held.principal_id
    FROM stg_directory_role_assignments AS held
    LEFT JOIN ref_privileged_roles AS listed
        ON held.role_definition_id = listed.role_definition_id
    WHERE coalesce(held.is_privileged, TRY_CAST(listed.is_privileged AS BOOLEAN))
),

consents AS (
    SELECT
        grants.service_principal_id,
        count(DISTINCT grants.principal_id) AS administrators,
        list(DISTINCT grants.principal_id ORDER BY grants.principal_id) AS administrator_ids
    FROM stg_delegated_grants AS grants
    INNER JOIN holders
        ON grants.principal_id = holders.principal_id
    WHERE grants.consent_type = 'Principal'
    GROUP BY grants.service_principal_id
),

unusual AS (
    SELECT
        app_id,
        count(DISTINCT day) AS days,
        list({'day': CAST(day AS DATE), 'metric': metric, 'observed': observed, 'expected': round(expected)}
            ORDER BY day, metric) AS flagged
    FROM anomalies
    WHERE
        is_anomaly
        AND observed > expected
        AND metric IN ('api_calls', 'bytes_returned')
        AND CAST(day AS DATE) BETWEEN CAST($as_of AS DATE) - $days + 1 AND CAST($as_of AS DATE)
    GROUP BY app_id
)

SELECT
    app.service_principal_id,
    app.app_id,
    app.display_name AS app_display_name,
    '' AS subject,
    CAST(unusual.days AS DOUBLE) AS measure,
    CAST($min_days AS DOUBLE) AS threshold,
    concat(
        consents.administrators, CASE WHEN consents.administrators = 1 THEN ' holder' ELSE ' holders' END,
        ' of a privileged role consented to the app for themselves, and on ', unusual.days,
        CASE WHEN unusual.days = 1 THEN ' day' ELSE ' days' END,
        ' it called or received far more than its own past explains.'
    ) AS reason,
    json_object(
        'administrator_ids', consents.administrator_ids, 'days', unusual.flagged, 'services', app.services,
        'publisher_verified', app.publisher_verified
    ) AS evidence
FROM consents
INNER JOIN app_inventory AS app
    ON consents.service_principal_id = app.service_principal_id
INNER JOIN unusual
    ON app.app_id = unusual.app_id
WHERE
    app.is_in_scope
    AND unusual.days >= $min_days
ORDER BY app.service_principal_id
