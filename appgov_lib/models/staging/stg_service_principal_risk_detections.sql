-- grain: risk detection about a service principal
-- source: Graph /identityProtection/servicePrincipalRiskDetections; the latest reading of each
SELECT
    filled(id) AS detection_id,
    guid("servicePrincipalId") AS service_principal_id,
    guid("appId") AS app_id,
    filled("servicePrincipalDisplayName") AS display_name,
    to_utc("detectedDateTime") AS detected_at,
    to_utc("activityDateTime") AS activity_at,
    to_utc("lastUpdatedDateTime") AS last_updated_at,
    filled("riskEventType") AS risk_event_type,
    filled("riskLevel") AS risk_level,
    filled("riskState") AS risk_state,
    filled("riskDetail") AS risk_detail,
    filled(source) AS source,
    filled("detectionTimingType") AS detection_timing,
    filled(activity) AS activity,
    filled("ipAddress") AS ip_address,
    filled(location ->> '$.countryOrRegion') AS country,
    filled(location ->> '$.city') AS city,
    list_transform(texts("keyIds"), lambda k: guid(k)) AS key_ids,
    filled("correlationId") AS correlation_id,
    -- text that holds a JSON list of key and value
    TRY_CAST("additionalInfo" AS JSON) AS additional_info,
    count(*) OVER (PARTITION BY id) AS copies
FROM read_json($service_principal_risk_detections,
    format = 'newline_delimited', records = true, ignore_errors = true, columns = {
    id: 'VARCHAR',
    "servicePrincipalId": 'VARCHAR',
    "appId": 'VARCHAR',
    "servicePrincipalDisplayName": 'VARCHAR',
    "detectedDateTime": 'VARCHAR',
    "activityDateTime": 'VARCHAR',
    "lastUpdatedDateTime": 'VARCHAR',
    "riskEventType": 'VARCHAR',
    "riskLevel": 'VARCHAR',
    "riskState": 'VARCHAR',
    "riskDetail": 'VARCHAR',
    source: 'VARCHAR',
    "detectionTimingType": 'VARCHAR',
    activity: 'VARCHAR',
    "ipAddress": 'VARCHAR',
    location: 'JSON',
    "keyIds": 'JSON',
    "correlationId": 'VARCHAR',
    "additionalInfo": 'VARCHAR'
})
WHERE filled(id) IS NOT NULL
QUALIFY row_number() OVER (
    PARTITION BY id
    ORDER BY last_updated_at DESC NULLS LAST, risk_state, risk_level, detected_at, display_name
) = 1
ORDER BY detected_at, detection_id
