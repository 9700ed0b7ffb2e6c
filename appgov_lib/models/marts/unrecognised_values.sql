-- grain: table x column x value that is not on the list of known ones
-- source: tables of logs and of the directory, rejected_records, reference/known_values.csv,
-- reference/office_operations.csv
-- Logs are counted once over the columns that matter; only those counts are spread out.
WITH sign_ins AS (
    SELECT
        sign_in_type, error_code, risk_level, risk_state, credential_type, authentication_requirement,
        authentication_protocol, conditional_access_status,
        count(*) AS records, min(created_at) AS first_at, max(created_at) AS last_at
    FROM stg_sign_ins
    GROUP BY ALL
),

audits AS (
    SELECT
        -- events about people and groups are no matter of apps
        CASE WHEN category = 'ApplicationManagement' OR target_type IN ('Application', 'ServicePrincipal')
            THEN activity END AS activity,
        result, actor_type,
        count(*) AS records, min(activity_at) AS first_at, max(activity_at) AS last_at
    FROM stg_directory_audits
    GROUP BY ALL
),

seen AS (
    SELECT 'stg_sign_ins' AS source, unnest([
        {'c': 'sign_in_type', 'v': sign_in_type}, {'c': 'error_code', 'v': CAST(error_code AS VARCHAR)},
        {'c': 'risk_level', 'v': risk_level}, {'c': 'risk_state', 'v': risk_state},
        {'c': 'credential_type', 'v': credential_type},
        {'c': 'authentication_requirement', 'v': authentication_requirement},
        {'c': 'authentication_protocol', 'v': authentication_protocol},
        {'c': 'conditional_access_status', 'v': conditional_access_status}
    ]) AS pair, records, first_at, last_at
    FROM sign_ins
    UNION ALL
    SELECT 'stg_directory_audits', unnest([
        {'c': 'activity', 'v': activity}, {'c': 'result', 'v': result}, {'c': 'actor_type', 'v': actor_type}
    ]), records, first_at, last_at
    FROM audits
    UNION ALL
    SELECT 'stg_office_activity', {'c': 'operation', 'v': operation}, count(*), min(occurred_at), max(occurred_at)
    FROM stg_office_activity
    GROUP BY operation
    UNION ALL
    SELECT 'stg_cloud_app_events', {'c': 'account_type', 'v': account_type}, count(*), min(occurred_at),
        max(occurred_at)
    FROM stg_cloud_app_events
    GROUP BY account_type
    UNION ALL
    SELECT 'api_calls_daily', {'c': 'method', 'v': method}, CAST(sum(calls) AS BIGINT), min(day), max(day)
    FROM api_calls_daily
    GROUP BY method
    UNION ALL
    SELECT 'stg_security_alerts', unnest([
        {'c': 'severity', 'v': severity}, {'c': 'status', 'v': status}, {'c': 'classification', 'v': classification},
        {'c': 'determination', 'v': determination}, {'c': 'service_source', 'v': service_source},
        {'c': 'detection_source', 'v': detection_source}
    ]), 1, created_at, created_at
    FROM stg_security_alerts
    UNION ALL
    SELECT 'stg_incidents', {'c': 'status', 'v': status}, 1, created_at, last_updated_at FROM stg_incidents
    UNION ALL
    SELECT 'stg_risky_service_principals', unnest([
        {'c': 'risk_level', 'v': risk_level}, {'c': 'risk_state', 'v': risk_state},
        {'c': 'risk_detail', 'v': risk_detail}
    ]), 1, risk_updated_at, risk_updated_at
    FROM stg_risky_service_principals
    UNION ALL
    SELECT 'stg_service_principal_risk_detections', unnest([
        {'c': 'risk_event_type', 'v': risk_event_type}, {'c': 'risk_level', 'v': risk_level},
        {'c': 'risk_state', 'v': risk_state}, {'c': 'risk_detail', 'v': risk_detail},
        {'c': 'detection_timing', 'v': detection_timing}
    ]), 1, detected_at, detected_at
    FROM stg_service_principal_risk_detections
    UNION ALL
    SELECT 'stg_service_principals', unnest([
        {'c': 'service_principal_type', 'v': service_principal_type}, {'c': 'sign_in_audience', 'v': sign_in_audience},
        {'c': 'disabled_by_microsoft_status', 'v': disabled_by_microsoft_status}
    ]), 1, NULL, NULL
    FROM stg_service_principals
    UNION ALL
    SELECT 'stg_delegated_grants', {'c': 'consent_type', 'v': consent_type}, 1, NULL, NULL FROM stg_delegated_grants
    UNION ALL
    SELECT 'stg_oauth_app_info', unnest([
        {'c': 'app_status', 'v': app_status}, {'c': 'app_origin', 'v': app_origin},
        {'c': 'privilege_level', 'v': privilege_level}
    ]), 1, observed_at, observed_at
    FROM stg_oauth_app_info
    UNION ALL
    -- records of imported files whose shape is not known, or that are damaged
    SELECT
        'rejected_records',
        -- beyond a number of lines the reason is not kept: '12 more records were refused and are not listed'
        {'c': 'reason', 'v': regexp_replace(reason, '^\d+ more ', 'more ')},
        coalesce(TRY_CAST(regexp_extract(reason, '^(\d+) more ', 1) AS BIGINT), 1), NULL, NULL
    FROM rejected_records
),

known AS (
    SELECT "table" AS source, "column" AS column_name, value FROM ref_known_values
    UNION
    SELECT 'stg_office_activity', 'operation', operation FROM ref_office_operations
)

SELECT
    seen.source,
    pair.c AS column_name,
    pair.v AS value,
    CAST(sum(records) AS BIGINT) AS records,
    CAST(min(first_at) AS TIMESTAMP) AS first_at,
    CAST(max(last_at) AS TIMESTAMP) AS last_at
FROM seen
ANTI JOIN known ON known.source = seen.source AND known.column_name = pair.c AND known.value = pair.v
WHERE pair.v IS NOT NULL
GROUP BY ALL
ORDER BY seen.source, column_name, value
