-- grain: alert, risk detection or risk x app it is about
-- source: alert_apps, stg_security_alerts, stg_incidents, stg_risky_service_principals,
-- stg_service_principal_risk_detections, app_inventory
WITH standing AS (
    -- a low risk is below what workload-identity-at-risk tells
    SELECT service_principal_id
    FROM stg_risky_service_principals
    WHERE risk_state IN ('atRisk', 'confirmedCompromised') AND risk_level IS DISTINCT FROM 'low'
),

-- A merged incident goes on under another number.
incidents AS (
    SELECT i.incident_id, coalesce(m.incident_id, i.incident_id) AS goes_on_as, coalesce(m.status, i.status) AS status,
        nullif(coalesce(m.classification, i.classification), 'unknown') AS classification,
        coalesce(m.web_url, i.web_url) AS web_url
    FROM stg_incidents AS i
    LEFT JOIN stg_incidents AS m ON m.incident_id = i.redirect_incident_id
),

alerts AS (
    SELECT
        'alert' AS record_kind,
        a.alert_id,
        r.app_id,
        r.service_principal_id,
        a.title,
        a.severity,
        a.status,
        coalesce(nullif(a.classification, 'unknown'), i.classification) AS classification,
        lower(coalesce(a.status, '')) NOT IN ('resolved', 'dismissed', 'closed')
            AND coalesce(nullif(a.classification, 'unknown'), i.classification, '')
            NOT IN ('falsePositive', 'informationalExpectedActivity', 'benignPositive')
            AND coalesce(i.status, '') <> 'resolved' AS is_open,
        a.service_source,
        a.detection_source,
        a.created_at AS first_at,
        greatest(a.created_at, a.last_activity_at, a.last_updated_at) AS last_at,
        coalesce(i.goes_on_as, a.incident_id) AS incident_id,
        i.status AS incident_status,
        a.web_url AS alert_url,
        i.web_url AS incident_url,
        a.mitre,
        a.shape,
        -- the same risk stands among the risky service principals too
        coalesce(a.service_source = 'azureAdIdentityProtection', false) AND k.service_principal_id IS NOT NULL
            AS is_told_as_risk
    FROM alert_apps AS r
    INNER JOIN stg_security_alerts AS a ON a.alert_id = r.alert_id
    LEFT JOIN incidents AS i ON i.incident_id = a.incident_id
    LEFT JOIN standing AS k ON k.service_principal_id = r.service_principal_id
    -- one alert may come by two ways, under two ids
    QUALIFY row_number() OVER (
        PARTITION BY coalesce(r.app_id, r.service_principal_id, a.alert_id), a.title, date_trunc('minute', a.created_at),
            CASE WHEN a.created_at IS NULL THEN a.alert_id END
        ORDER BY a.shape, a.alert_id
    ) = 1
),

risks AS (
    SELECT
        'risk detection' AS record_kind, d.detection_id AS alert_id, d.app_id, d.service_principal_id,
        d.risk_event_type AS title, d.risk_level AS severity, d.risk_state AS status,
        coalesce(d.risk_state, '') NOT IN ('none', 'confirmedSafe', 'remediated', 'dismissed') AS is_open,
        'azureAdIdentityProtection' AS service_source, d.source AS detection_source, d.detected_at AS first_at,
        greatest(d.detected_at, d.last_updated_at) AS last_at, k.service_principal_id IS NOT NULL AS is_told_as_risk
    FROM stg_service_principal_risk_detections AS d
    LEFT JOIN standing AS k ON k.service_principal_id = d.service_principal_id
    UNION ALL BY NAME
    SELECT
        'risk' AS record_kind, service_principal_id AS alert_id, app_id, service_principal_id, risk_detail AS title,
        risk_level AS severity, risk_state AS status,
        coalesce(risk_state, '') NOT IN ('none', 'confirmedSafe', 'remediated', 'dismissed') AS is_open,
        'azureAdIdentityProtection' AS service_source, CAST(NULL AS VARCHAR) AS detection_source,
        risk_updated_at AS first_at, risk_updated_at AS last_at,
        service_principal_id IN (SELECT service_principal_id FROM standing) AS is_told_as_risk
    FROM stg_risky_service_principals
)

SELECT
    told.*,
    CASE told.severity WHEN 'high' THEN 3 WHEN 'medium' THEN 2 WHEN 'low' THEN 1 WHEN 'informational' THEN 0 END
        AS level,
    app.display_name,
    'https://entra.microsoft.com/#view/Microsoft_AAD_IAM/ManagedAppMenuBlade/~/Overview/objectId/'
    || told.service_principal_id || '/appId/' || told.app_id AS app_url
FROM (FROM alerts UNION ALL BY NAME FROM risks) AS told
LEFT JOIN app_inventory AS app ON app.service_principal_id = told.service_principal_id
ORDER BY told.record_kind, told.alert_id, told.app_id
