-- grain: alert x app it is about
-- source: stg_security_alerts, app_inventory
-- About an app is what names one in its evidence, or what app governance raised; a title never decides.
WITH principals AS (
    SELECT app_id, min(service_principal_id) AS service_principal_id FROM app_inventory GROUP BY app_id
),

named AS (
    SELECT alert_id, app_id, service_principal_id
    FROM stg_security_alerts
    WHERE app_id IS NOT NULL OR service_principal_id IS NOT NULL
    UNION ALL
    SELECT alert_id, unnest(evidence_app_ids), NULL
    FROM stg_security_alerts
    UNION ALL
    SELECT alert_id, NULL, NULL
    FROM stg_security_alerts
    WHERE
        app_id IS NULL AND service_principal_id IS NULL AND len(coalesce(evidence_app_ids, [])) = 0
        AND (service_source = 'microsoftAppGovernance' OR starts_with(detection_source, 'appGovernance'))
)

-- The evidence gives the id of the registration, of the service principal, or the application id alone.
SELECT DISTINCT
    n.alert_id,
    coalesce(n.app_id, s.app_id, r.app_id) AS app_id,
    coalesce(s.service_principal_id, r.service_principal_id, p.service_principal_id, n.service_principal_id)
        AS service_principal_id
FROM named AS n
LEFT JOIN app_inventory AS s ON s.service_principal_id = n.service_principal_id
LEFT JOIN app_inventory AS r ON r.application_id = n.service_principal_id
LEFT JOIN principals AS p ON p.app_id = n.app_id
QUALIFY row_number() OVER (
    PARTITION BY n.alert_id, coalesce(n.app_id, s.app_id, r.app_id, n.service_principal_id)
    ORDER BY s.service_principal_id IS NULL, n.service_principal_id IS NULL, n.service_principal_id
) = 1
ORDER BY alert_id, app_id
