-- grain: app that did unusual things after it got a credential
-- source: changes, anomalies, app_inventory
WITH credentials AS (
    SELECT
        service_principal_id,
        changed_at,
        subject,
        actor_id,
        actor_name
    FROM changes
    WHERE
        kind = 'credential'
        AND change = 'added'
        AND changed_at >= CAST($as_of AS DATE) + 1 - $days - CAST($days_after AS INTEGER)
        AND changed_at < CAST($as_of AS DATE) + 1
        AND service_principal_id IS NOT NULL
),

unusual AS (
    SELECT
        app.service_principal_id,
        anomaly.metric,
        CAST(anomaly.day AS DATE) AS day,
        anomaly.observed,
        anomaly.expected
    FROM anomalies AS anomaly
    INNER JOIN app_inventory AS app
        ON anomaly.app_id = app.app_id
    WHERE
        app.is_in_scope
        AND anomaly.is_anomaly
        AND anomaly.observed > anomaly.expected
        AND anomaly.metric IN ('api_calls', 'bytes_returned')
        AND CAST(anomaly.day AS DATE) BETWEEN CAST($as_of AS DATE) - $days + 1 AND CAST($as_of AS DATE)
),

both_seen AS (
    SELECT
        unusual.service_principal_id,
        max(credentials.changed_at) AS changed_at,
        arg_max(credentials.subject, credentials.changed_at) AS credential,
        arg_max(credentials.actor_id, credentials.changed_at) AS actor_id,
        arg_max(credentials.actor_name, credentials.changed_at) AS actor_name,
        count(DISTINCT unusual.day) AS days,
        list(DISTINCT {
            'day': unusual.day, 'metric': unusual.metric, 'observed': unusual.observed,
            'expected': round(unusual.expected)
        }) AS flagged
    FROM unusual
    INNER JOIN credentials
        ON
            unusual.service_principal_id = credentials.service_principal_id
            AND unusual.day >= CAST(credentials.changed_at AS DATE)
            AND unusual.day <= CAST(credentials.changed_at AS DATE) + CAST($days_after AS INTEGER)
    GROUP BY unusual.service_principal_id
)

SELECT
    app.service_principal_id,
    app.app_id,
    app.display_name AS app_display_name,
    '' AS subject,
    CAST(both_seen.days AS DOUBLE) AS measure,
    CAST(1 AS DOUBLE) AS threshold,
    concat(
        'A credential was added on ', strftime(both_seen.changed_at, '%Y-%m-%d'),
        CASE WHEN both_seen.actor_name IS NULL THEN '' ELSE ' by ' || both_seen.actor_name END,
        '; since then the app called or received far more than its own past explains, on ', both_seen.days,
        CASE WHEN both_seen.days = 1 THEN ' day' ELSE ' days' END, '. Services reached in 30 days: ',
        coalesce(nullif(array_to_string(app.services, ', '), ''), 'none known'), '.'
    ) AS reason,
    json_object(
        'credential', both_seen.credential, 'changed_at', both_seen.changed_at, 'actor_id', both_seen.actor_id,
        'actor_name', both_seen.actor_name, 'days', list_sort(both_seen.flagged), 'services', app.services
    ) AS evidence
FROM both_seen
INNER JOIN app_inventory AS app
    ON both_seen.service_principal_id = app.service_principal_id
ORDER BY app.service_principal_id
