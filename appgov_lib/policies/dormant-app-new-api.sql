-- grain: app that was silent for weeks and came back to Graph, Exchange or Azure Resource Manager
-- source: stg_sign_ins, sign_ins_daily, api_calls_daily, covered_days, app_inventory
WITH apis (resource_id, api) AS (
    VALUES
        ('00000003-0000-0000-c000-000000000000', 'Microsoft Graph'),
        ('00000002-0000-0ff1-ce00-000000000000', 'Exchange Online'),
        ('797f4846-ba00-4fd7-ba43-dac1f8f63013', 'Azure Resource Manager')
),

-- Failed sign-ins are a sign of life, too: a job whose secret ran out has not been silent.
lives AS (
    SELECT app_id, CAST(day AS DATE) AS day FROM sign_ins_daily
    UNION ALL
    SELECT app_id, CAST(day AS DATE) FROM api_calls_daily
),

awake AS (
    SELECT
        app_id,
        min(day) FILTER (day > CAST($as_of AS DATE) - $days) AS woke_on,
        max(day) FILTER (day <= CAST($as_of AS DATE) - $days) AS last_before
    FROM lives
    WHERE app_id IS NOT NULL AND day <= CAST($as_of AS DATE)
    GROUP BY app_id
),

-- Silence can only be said of days that the log of every kind of sign-in covers as a whole.
looked AS (
    SELECT source, day
    FROM covered_days
    WHERE
        source IN ('sign_ins_service_principal', 'sign_ins_interactive', 'sign_ins_non_interactive')
        AND is_complete
),

silent AS (
    SELECT
        awake.*,
        -- where nothing was seen before, the days that were looked at
        awake.woke_on - coalesce(awake.last_before, CAST($as_of AS DATE) - CAST($days_history AS INTEGER)) - 1 AS days
    FROM awake
    WHERE
        awake.woke_on IS NOT NULL
        AND coalesce(awake.woke_on - awake.last_before > $days_silent, true)
        AND (
            SELECT count(DISTINCT (looked.source, looked.day))
            FROM looked
            WHERE
                looked.day < awake.woke_on
                AND looked.day >= least(
                    awake.woke_on - CAST($days_silent AS INTEGER),
                    CAST($as_of AS DATE) + 1 - CAST($days_history AS INTEGER)
                )
        ) = 3 * (awake.woke_on - least(
            awake.woke_on - CAST($days_silent AS INTEGER),
            CAST($as_of AS DATE) + 1 - CAST($days_history AS INTEGER)
        ))
),

reached AS (
    SELECT sign_in.app_id, apis.api, sign_in.created_at AS reached_at
    FROM stg_sign_ins AS sign_in
    INNER JOIN apis ON lower(sign_in.resource_id) = apis.resource_id
    WHERE sign_in.error_code = 0 AND sign_in.created_at < CAST($as_of AS DATE) + 1
    UNION ALL
    SELECT app_id, 'Microsoft Graph', first_called_at FROM api_calls_daily
    WHERE first_called_at < CAST($as_of AS DATE) + 1
),

-- Once more what it did before it fell silent is a job of the season; an API it is not known to have used is not.
new_apis AS (
    SELECT silent.app_id, reached.api, min(reached.reached_at) AS reached_at
    FROM silent
    INNER JOIN reached ON silent.app_id = reached.app_id
    GROUP BY silent.app_id, reached.api
    HAVING min(reached.reached_at) >= CAST($as_of AS DATE) + 1 - $days
)

SELECT
    app.service_principal_id,
    app.app_id,
    app.display_name AS app_display_name,
    new_apis.api AS subject,
    CAST(silent.days AS DOUBLE) AS measure,
    CAST($days_silent AS DOUBLE) AS threshold,
    concat(
        'After ', silent.days,
        CASE WHEN silent.last_before IS NULL THEN ' days or more' ELSE ' days' END,
        ' without a sign-in or call the app reached ', new_apis.api, ' on ',
        strftime(new_apis.reached_at, '%Y-%m-%d %H:%M'), ' UTC, which it is not known to have used before.'
    ) AS reason,
    json_object(
        'api', new_apis.api, 'reached_at', new_apis.reached_at, 'woke_on', silent.woke_on,
        'last_use_before', silent.last_before, 'created_at', coalesce(app.added_on, app.created_at),
        'app_origin', app.app_origin, 'privilege_level', app.privilege_level
    ) AS evidence
FROM new_apis
INNER JOIN silent ON new_apis.app_id = silent.app_id
INNER JOIN app_inventory AS app ON new_apis.app_id = app.app_id
WHERE
    app.is_in_scope
    -- what is younger than the silence was not silent, and of what has no date and no use nobody knows
    AND (silent.last_before IS NOT NULL
        OR coalesce(app.added_on, app.created_at) < silent.woke_on - CAST($days_silent AS INTEGER))
ORDER BY app.service_principal_id, new_apis.api
