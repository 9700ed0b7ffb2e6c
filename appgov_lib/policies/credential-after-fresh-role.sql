-- grain: highly privileged app that got a credential from a person who had just been given a directory role
-- source: credential_additions, stg_directory_audits, app_inventory, reference/privileged_roles.csv
-- A sequence: each credential is joined to the latest role that its actor got before it.
WITH events AS (
    SELECT
        activity_at,
        actor_name,
        CAST(CASE WHEN json_type(targets) = 'ARRAY' THEN targets END AS JSON[]) AS parts,
        list_transform(
            flatten(list_transform(
                parts,
                lambda p: coalesce(CAST(CASE
                    WHEN json_type(p -> '$.modifiedProperties') = 'ARRAY' THEN p -> '$.modifiedProperties'
                END AS JSON[]), [])
            )),
            lambda m: {'name': m ->> '$.displayName', 'value': nullif(trim(m ->> '$.newValue', '"'), '')}
        ) AS properties
    FROM stg_directory_audits
    WHERE
        -- An activation of a role that was given before is no new role: MS-PIM does that every day.
        regexp_matches(activity, '(?i)^add (eligible )?member to role( in PIM completed.*)?$')
        AND actor_name IS DISTINCT FROM 'MS-PIM'
        AND result IS DISTINCT FROM 'failure'
        AND activity_at < CAST($as_of AS DATE) + 1
),

roles AS (
    SELECT
        activity_at AS given_at,
        actor_name AS giver_name,
        list_filter(parts, lambda p: lower(p ->> '$.type') = 'user')[1] ->> '$.id' AS user_id,
        coalesce(
            list_filter(properties, lambda m: m.name = 'Role.DisplayName' AND m.value IS NOT NULL)[1].value,
            list_filter(parts, lambda p: lower(p ->> '$.type') = 'role')[1] ->> '$.displayName'
        ) AS role_name,
        lower(list_filter(properties, lambda m: m.name = 'Role.TemplateId')[1].value) AS template_id
    FROM events
),

powerful AS (
    SELECT
        roles.user_id,
        roles.given_at,
        roles.giver_name,
        coalesce(roles.role_name, listed.role_name, 'a role that is not named') AS role
    FROM roles
    LEFT JOIN ref_privileged_roles AS listed
        ON coalesce(roles.role_name = listed.role_name, roles.template_id = listed.role_definition_id)
    WHERE
        roles.user_id IS NOT NULL
        -- a role that is not named may be any; developers manage only what they register themselves
        AND (
            coalesce(roles.role_name, roles.template_id) IS NULL
            OR (listed.is_privileged = 'true' AND listed.role_name <> 'Application Developer')
        )
),

sequence AS (
    SELECT
        credential.service_principal_id,
        credential.actor_id,
        min(credential.actor_name) AS actor_name,
        min(credential.added_at) AS added_at,
        list_sort(list(DISTINCT credential.key_id)) AS key_ids,
        max(powerful.given_at) AS given_at,
        arg_max(powerful.role, (powerful.given_at, powerful.role)) AS role,
        arg_max(powerful.giver_name, (powerful.given_at, powerful.role)) AS giver_name
    FROM credential_additions AS credential
    ASOF INNER JOIN powerful
        ON credential.actor_id = powerful.user_id AND credential.added_at >= powerful.given_at
    WHERE
        credential.added_source = 'audit log'
        AND credential.added_at >= CAST($as_of AS DATE) + 1 - $days
        AND credential.added_at < CAST($as_of AS DATE) + 1
        AND credential.added_at <= powerful.given_at + $hours * INTERVAL 1 HOUR
    GROUP BY credential.service_principal_id, credential.actor_id
)

SELECT
    app.service_principal_id,
    app.app_id,
    app.display_name AS app_display_name,
    sequence.actor_id AS subject,
    round(date_diff('minute', sequence.given_at, sequence.added_at) / 60, 1) AS measure,
    CAST($hours AS DOUBLE) AS threshold,
    concat(
        coalesce(sequence.actor_name, sequence.actor_id), ' was given ', sequence.role, ' on ',
        strftime(sequence.given_at, '%Y-%m-%d %H:%M'), ' UTC', coalesce(' by ' || sequence.giver_name, ''),
        ' and added a credential to this app on ', strftime(sequence.added_at, '%Y-%m-%d %H:%M'), ' UTC; it holds ',
        app.high_privilege_count, CASE WHEN app.high_privilege_count = 1 THEN ' permission' ELSE ' permissions' END,
        ' of high privilege.'
    ) AS reason,
    json_object(
        'actor_id', sequence.actor_id, 'actor_name', sequence.actor_name, 'role', sequence.role,
        'given_at', sequence.given_at, 'given_by', sequence.giver_name, 'added_at', sequence.added_at,
        'key_ids', sequence.key_ids
    ) AS evidence
FROM sequence
INNER JOIN app_inventory AS app
    ON sequence.service_principal_id = app.service_principal_id
WHERE app.is_in_scope AND app.high_privilege_count >= $min_high_permissions
ORDER BY app.service_principal_id, sequence.actor_id
