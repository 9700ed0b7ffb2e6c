-- grain: live credential that was not used for a long time
-- source: app_credentials, app_inventory, coverage
WITH report AS (
    SELECT coalesce(bool_or(status = 'complete'), FALSE) AS is_complete
    FROM coverage
    WHERE source = 'credential_sign_in_activities'
),

candidates AS (
    SELECT
        app.service_principal_id,
        app.app_id,
        app.display_name,
        app.last_used_at AS app_last_used_at,
        credential.key_id,
        credential.name,
        credential.credential_type,
        credential.credential_origin,
        credential.application_id,
        credential.starts_at,
        credential.ends_at,
        credential.last_used_at,
        coalesce(credential.starts_at, app.created_at) AS made_at
    FROM app_credentials AS credential
    INNER JOIN app_inventory AS app
        ON credential.app_id = app.app_id
    WHERE
        app.is_first_party IS NOT TRUE
        AND app.service_principal_type IS DISTINCT FROM 'ManagedIdentity'
        -- A young app may not have gone live yet.
        AND app.created_at <= CAST($as_of AS DATE) + 1 - $days_grace * INTERVAL 1 DAY
        -- The sign-in report does not follow federated credentials, and an ended credential opens nothing.
        AND credential.credential_type IN ('secret', 'certificate')
        AND (credential.ends_at IS NULL OR credential.ends_at >= CAST($as_of AS DATE) + 1)
),

judged AS (
    SELECT
        candidates.*,
        CASE
            -- Only where the app itself goes on: an app that stopped altogether is the policy unused-app.
            WHEN
                last_used_at < CAST($as_of AS DATE) + 1 - $days_unused * INTERVAL 1 DAY
                AND app_last_used_at >= CAST($as_of AS DATE) + 1 - $days_unused * INTERVAL 1 DAY
                THEN last_used_at
            -- "Never" is the absence of a row, so it needs the whole report.
            WHEN
                last_used_at IS NULL
                AND report.is_complete
                AND made_at < CAST($as_of AS DATE) + 1 - $days_unused * INTERVAL 1 DAY
                THEN made_at
        END AS idle_since
    FROM candidates, report
)

SELECT
    service_principal_id,
    app_id,
    display_name AS app_display_name,
    coalesce(key_id, '') AS subject,
    CAST(date_diff('day', CAST(idle_since AS DATE), CAST($as_of AS DATE)) AS DOUBLE) AS measure,
    CAST($days_unused AS DOUBLE) AS threshold,
    concat(
        'A ', credential_type,
        CASE
            WHEN last_used_at IS NULL THEN concat(' made on ', strftime(made_at, '%Y-%m-%d'), ' has no recorded use in ')
            ELSE concat(' was last used on ', strftime(last_used_at, '%Y-%m-%d'), ', ')
        END,
        date_diff('day', CAST(idle_since AS DATE), CAST($as_of AS DATE)),
        CASE WHEN last_used_at IS NULL THEN ' days' ELSE ' days ago, while the app itself is in use' END,
        ', and ', coalesce('works until ' || strftime(ends_at, '%Y-%m-%d'), 'has no end date'), '.'
    ) AS reason,
    json_object(
        'key_id', key_id, 'name', name, 'credential_type', credential_type, 'credential_origin', credential_origin,
        'application_id', application_id, 'starts_at', starts_at, 'ends_at', ends_at, 'last_used_at', last_used_at,
        'app_last_used_at', app_last_used_at
    ) AS evidence
FROM judged
WHERE idle_since IS NOT NULL
ORDER BY service_principal_id, key_id
