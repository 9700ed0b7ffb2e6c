-- grain: app x part of likelihood that comes from Microsoft's own judgement
-- source: stg_risky_service_principals, stg_security_alerts, stg_oauth_app_info, stg_service_principals
-- Reported beside our own parts, never in place of them: how Microsoft judges is not published.
WITH principals AS (
    SELECT app_id, min(service_principal_id) AS service_principal_id
    FROM stg_service_principals
    WHERE app_id IS NOT NULL
    GROUP BY app_id
),

risky AS (
    SELECT
        service_principal_id,
        'microsoft_risk' AS part_id,
        CASE
            WHEN risk_state = 'confirmedCompromised' THEN 4
            WHEN risk_state = 'atRisk' THEN CASE risk_level WHEN 'high' THEN 3 WHEN 'medium' THEN 2 ELSE 1 END
        END AS units,
        CASE risk_state
            WHEN 'confirmedCompromised' THEN 'Confirmed as compromised in Microsoft Entra ID Protection'
            ELSE 'Microsoft Entra ID Protection holds it to be at risk, level ' || coalesce(risk_level, 'not said')
        END || coalesce(', since ' || strftime(risk_updated_at, '%Y-%m-%d'), '') || '.' AS why
    FROM stg_risky_service_principals
),

open_alerts AS (
    SELECT
        coalesce(a.service_principal_id, p.service_principal_id) AS service_principal_id,
        a.alert_id,
        a.title,
        CASE a.severity WHEN 'high' THEN 3 WHEN 'medium' THEN 2 ELSE 1 END AS units
    FROM stg_security_alerts AS a
    LEFT JOIN principals AS p ON p.app_id = a.app_id
    WHERE a.status IS DISTINCT FROM 'resolved'
        AND a.created_at >= CAST($as_of AS DATE) - 89
        AND a.created_at < CAST($as_of AS DATE) + 1
),

alerts AS (
    SELECT
        service_principal_id,
        'microsoft_alert' AS part_id,
        sum(units) AS units,
        'Open security alerts: ' || count(*) || ', the gravest "' || arg_max(title, (units, alert_id)) || '".' AS why
    FROM open_alerts
    GROUP BY service_principal_id
),

scores AS (
    SELECT
        coalesce(o.service_principal_id, p.service_principal_id) AS service_principal_id,
        'microsoft_score' AS part_id,
        CASE WHEN o.risk_score >= 75 THEN 2 WHEN o.risk_score >= 50 THEN 1 END AS units,
        'Microsoft''s own risk score is ' || o.risk_score || ' of 100.' AS why
    FROM stg_oauth_app_info AS o
    LEFT JOIN principals AS p ON p.app_id = o.app_id
)

SELECT service_principal_id, part_id, CAST(units AS BIGINT) AS units, why
FROM (FROM risky UNION ALL BY NAME FROM alerts UNION ALL BY NAME FROM scores)
WHERE units > 0 AND service_principal_id IS NOT NULL
QUALIFY row_number() OVER (PARTITION BY service_principal_id, part_id ORDER BY units DESC, why) = 1
