-- grain: app that was idle, then got a credential, then was used again
-- source: stg_directory_audits, stg_sign_ins, api_calls_daily, app_inventory, coverage
WITH credential_events AS (
    SELECT
        audit.audit_id,
        audit.activity_at,
        audit.activity,
        audit.actor_name,
        audit.actor_id,
        audit.actor_ip,
        lower(unnest(audit.target_ids)) AS target_id
    FROM stg_directory_audits AS audit
    WHERE
        audit.activity IN (
            'Update application - Certificates and secrets management',
            'Add service principal credentials',
            'Update service principal credentials'
        )
        AND audit.result IS DISTINCT FROM 'failure'
        AND audit.activity_at >= CAST($as_of AS DATE) + 1 - 2 * $days
        AND audit.activity_at < CAST($as_of AS DATE) + 1
),

-- The first such event of an app counts: later ones of the same change would find the app already awake.
new_credentials AS (
    SELECT
        app.service_principal_id,
        arg_min(event.audit_id, (event.activity_at, event.audit_id)) AS audit_id,
        min(event.activity_at) AS changed_at,
        arg_min(event.activity, (event.activity_at, event.audit_id)) AS activity,
        arg_min(event.actor_name, (event.activity_at, event.audit_id)) AS actor_name,
        arg_min(event.actor_id, (event.activity_at, event.audit_id)) AS actor_id,
        arg_min(event.actor_ip, (event.activity_at, event.audit_id)) AS actor_ip
    FROM credential_events AS event
    INNER JOIN app_inventory AS app
        ON event.target_id IN (app.service_principal_id, app.application_id)
    GROUP BY app.service_principal_id
),

usage_times AS (
    SELECT app_id, created_at AS used_at, 1 AS uses FROM stg_sign_ins
    UNION ALL
    -- calls of a day and endpoint have a first and a last time; they are counted at the last
    SELECT app_id, last_called_at AS used_at, calls AS uses FROM api_calls_daily
    UNION ALL
    SELECT app_id, first_called_at AS used_at, 0 AS uses FROM api_calls_daily
),

-- Idle can only be said of days that a sign-in log covers; each kind of sign-in has a log of its own, so the one that
-- starts last decides.
log_start AS (
    SELECT
        coalesce(
            max(from_at) FILTER (
                source IN ('sign_ins_interactive', 'sign_ins_non_interactive', 'sign_ins_service_principal')
            ),
            min(from_at)
        ) AS from_at
    FROM coverage
    WHERE
        starts_with(source, 'sign_ins_')
        AND status IN ('complete', 'partial')
),

awakened AS (
    SELECT
        app.service_principal_id,
        app.app_id,
        app.display_name,
        app.created_at,
        new.* EXCLUDE (service_principal_id),
        -- Use in the hours before belongs to the return: logs are late, and an intruder may try an old credential first.
        max(used_at) FILTER (used_at < new.changed_at - INTERVAL 1 DAY) AS used_before,
        min(used_at) FILTER (used_at >= new.changed_at) AS used_after,
        CAST(coalesce(sum(uses) FILTER (used_at >= new.changed_at), 0) AS BIGINT) AS uses_after
    FROM new_credentials AS new
    INNER JOIN app_inventory AS app
        ON new.service_principal_id = app.service_principal_id
    LEFT JOIN usage_times
        ON app.app_id = usage_times.app_id AND usage_times.used_at < CAST($as_of AS DATE) + 1
    WHERE
        app.is_first_party IS NOT TRUE
        AND app.service_principal_type IS DISTINCT FROM 'ManagedIdentity'
    GROUP BY ALL
),

idle AS (
    SELECT
        awakened.*,
        log_start.from_at,
        -- Without an earlier use in the log, the time since which the log would have shown one.
        coalesce(used_before, CASE WHEN from_at IS NOT NULL THEN greatest(created_at, from_at) END) AS idle_since
    FROM awakened, log_start
)

SELECT
    service_principal_id,
    app_id,
    display_name AS app_display_name,
    '' AS subject,
    CAST(date_diff('day', idle_since, changed_at) AS DOUBLE) AS measure,
    CAST($days_dormant AS DOUBLE) AS threshold,
    concat(
        CASE WHEN used_before IS NULL THEN 'Not seen in use since ' ELSE 'Last used on ' END,
        strftime(idle_since, '%Y-%m-%d'),
        ', the app got a new credential on ', strftime(changed_at, '%Y-%m-%d %H:%M'), ' UTC, ',
        date_diff('day', idle_since, changed_at),
        ' days later, and was used again from ', strftime(used_after, '%Y-%m-%d %H:%M'), ' UTC.'
    ) AS reason,
    json_object(
        'audit_id', audit_id, 'activity', activity, 'changed_at', changed_at, 'actor_name', actor_name,
        'actor_id', actor_id, 'actor_ip', actor_ip, 'used_before', used_before, 'used_after', used_after,
        'uses_after', uses_after, 'log_start', from_at
    ) AS evidence
FROM idle
WHERE
    used_after IS NOT NULL
    AND idle_since < changed_at - $days_dormant * INTERVAL 1 DAY
ORDER BY service_principal_id
