-- grain: app that Microsoft holds to be at risk or compromised
-- source: stg_risky_service_principals, stg_service_principal_risk_detections, app_inventory
WITH levels AS (
    -- hidden: the licence does not show the level; the app is at risk all the same
    SELECT * FROM (VALUES ('low', 1), ('medium', 2), ('high', 3), ('hidden', 3)) AS t (risk_level, level_rank)
),

detections AS (
    SELECT
        service_principal_id,
        list(DISTINCT risk_event_type ORDER BY risk_event_type) AS kinds,
        list(
            {
                'detection_id': detection_id,
                'detected_at': detected_at,
                'risk_event_type': risk_event_type,
                'risk_level': risk_level,
                'ip_address': ip_address,
                'country': country,
                'key_ids': key_ids
            } ORDER BY detected_at, detection_id
        ) AS list
    FROM stg_service_principal_risk_detections
    WHERE risk_state IN ('atRisk', 'confirmedCompromised')
    GROUP BY service_principal_id
)

SELECT
    app.service_principal_id,
    app.app_id,
    app.display_name AS app_display_name,
    '' AS subject,
    CAST(CASE WHEN risky.risk_level <> 'hidden' THEN levels.level_rank END AS DOUBLE) AS measure,
    CAST($min_level AS DOUBLE) AS threshold,
    concat(
        CASE
            WHEN risky.risk_state = 'confirmedCompromised'
                THEN 'An administrator confirmed to Microsoft that the app is compromised'
            WHEN risky.risk_level = 'hidden' THEN 'Microsoft holds the app to be at risk and does not show how much'
            ELSE concat('Microsoft holds the app to be at risk, level ', risky.risk_level)
        END,
        coalesce(', since ' || strftime(risky.risk_updated_at, '%Y-%m-%d'), ''),
        coalesce(': ' || array_to_string(detections.kinds, ', '), ''), '.'
    ) AS reason,
    json_object(
        'risk_state', risky.risk_state,
        'risk_level', risky.risk_level,
        'risk_updated_at', risky.risk_updated_at,
        'detections', detections.list,
        'privilege_level', app.privilege_level,
        'last_used_at', app.last_used_at
    ) AS evidence
FROM stg_risky_service_principals AS risky
INNER JOIN app_inventory AS app
    ON risky.service_principal_id = app.service_principal_id
LEFT JOIN levels
    ON risky.risk_level = levels.risk_level
LEFT JOIN detections
    ON risky.service_principal_id = detections.service_principal_id
WHERE
    app.is_in_scope
    AND (
        risky.risk_state = 'confirmedCompromised'
        OR (risky.risk_state = 'atRisk' AND coalesce(levels.level_rank, 3) >= $min_level)
    )
ORDER BY app.service_principal_id
