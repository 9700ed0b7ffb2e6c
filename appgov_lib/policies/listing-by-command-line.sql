-- grain: command-line program of Microsoft's x person who listed the tenant with it for the first time
-- source: stg_api_activity, stg_users, stg_directory_role_assignments, app_inventory, reference/command_line_apps.csv,
-- reference/privileged_roles.csv
WITH requests AS (
    SELECT
        call.app_id,
        call.user_id,
        date_trunc('minute', call.called_at) AS moment,
        call.called_at,
        lower(split_part(call.endpoint, '/', 2)) AS kind
    FROM stg_api_activity AS call
    SEMI JOIN ref_command_line_apps AS tool ON call.app_id = tool.app_id
    WHERE
        call.method = 'GET' AND call.resource_type IN ('directory', 'files', 'sites') AND NOT call.is_batch_envelope
        AND call.user_id IS NOT NULL AND NOT regexp_matches(call.endpoint, '(?i)^/me(/|$)')
        AND call.called_at >= CAST($as_of AS DATE) - $days - CAST($history_days AS INTEGER) + 1
        AND call.called_at < CAST($as_of AS DATE) + 1
),

holders AS (
    SELECT held.principal_id AS user_id, list_sort(list(DISTINCT held.role_name)) AS roles
    FROM stg_directory_role_assignments AS held
    LEFT JOIN ref_privileged_roles AS listed ON held.role_definition_id = listed.role_definition_id
    WHERE coalesce(held.is_privileged, TRY_CAST(listed.is_privileged AS BOOLEAN))
    GROUP BY held.principal_id
),

bursts AS (
    SELECT
        app_id,
        user_id,
        moment,
        count(*) AS calls,
        list_sort(list(DISTINCT kind)) AS kinds
    FROM requests
    GROUP BY app_id, user_id, moment
    HAVING count(DISTINCT kind) >= $min_categories AND count(*) >= $min_calls
),

-- Whoever did so before, with whichever of these programs, does it for a living.
people AS (
    SELECT
        arg_max(app_id, (calls, moment)) AS app_id,
        user_id,
        count(*) AS bursts,
        max(calls) AS calls,
        arg_max({'moment': moment, 'kinds': kinds}, (calls, moment)) AS most,
        min(moment) AS first_at
    FROM bursts
    GROUP BY user_id
    HAVING min(moment) >= CAST($as_of AS DATE) + 1 - $days
),

judged AS (
    SELECT
        people.*,
        holders.roles,
        CASE WHEN holders.roles IS NULL THEN $min_calls ELSE $min_calls_administrator END AS threshold
    FROM people
    LEFT JOIN holders ON people.user_id = holders.user_id
)

SELECT
    coalesce(app.service_principal_id, judged.app_id) AS service_principal_id,
    judged.app_id,
    coalesce(app.display_name, tool.name) AS app_display_name,
    judged.user_id AS subject,
    CAST(judged.calls AS DOUBLE) AS measure,
    CAST(judged.threshold AS DOUBLE) AS threshold,
    concat(
        strftime(judged.most.moment, 'In the minute of %Y-%m-%d %H:%M UTC '),
        coalesce(person.user_principal_name, 'the user ' || judged.user_id), ' listed ', len(judged.most.kinds),
        ' kinds of objects in ', judged.calls, ' calls with a command-line program (',
        array_to_string(judged.most.kinds[1:6], ', '), '), and in no minute of the ',
        CAST($history_days AS INTEGER), ' days before; ',
        CASE
            WHEN judged.roles IS NULL THEN 'no privileged role is held.'
            ELSE 'the role held is ' || coalesce(array_to_string(judged.roles[1:3], ', '), 'privileged') || '.'
        END
    ) AS reason,
    json_object(
        'user_id', judged.user_id, 'user_principal_name', person.user_principal_name, 'moment', judged.most.moment,
        'kinds', judged.most.kinds, 'calls', judged.calls, 'bursts', judged.bursts, 'first_at', judged.first_at,
        'privileged_roles', judged.roles
    ) AS evidence
FROM judged
INNER JOIN ref_command_line_apps AS tool ON judged.app_id = tool.app_id
LEFT JOIN app_inventory AS app ON judged.app_id = app.app_id
LEFT JOIN stg_users AS person ON judged.user_id = person.user_id
WHERE
    judged.calls >= judged.threshold
    -- single requests must be there of the time before, or nobody can say that it is new
    AND (SELECT min(called_at) FROM stg_api_activity)
    < CAST($as_of AS DATE) + 1 - $days - CAST($min_history_days AS INTEGER)
ORDER BY service_principal_id, subject
