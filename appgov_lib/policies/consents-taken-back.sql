-- grain: app new in the tenant whose consent several people took back
-- source: grant_history, stg_directory_audits, app_inventory, stg_users
-- Each withdrawal is joined to the latest consent of the same person before it.
WITH young AS (
    SELECT service_principal_id
    FROM app_inventory
    WHERE
        is_in_scope
        AND coalesce(added_on, created_at) >= CAST($as_of AS DATE) + 1 - CAST($days_new AS INTEGER)
),

held AS (
    SELECT
        service_principal_id,
        principal_id AS person_id,
        coalesce(min(valid_from), TIMESTAMP '1970-01-01') AS given_at,
        CASE WHEN bool_and(valid_to IS NOT NULL) THEN max(valid_to) END AS taken_at,
        -- an administrator who cleans up answers; that is nobody's doubt
        coalesce(bool_or(revoked_by_id <> principal_id), FALSE) AS by_another
    FROM grant_history
    SEMI JOIN young USING (service_principal_id)
    WHERE
        permission_type = 'delegated'
        AND consent_type = 'user'
        AND principal_id IS NOT NULL
    GROUP BY service_principal_id, principal_id
),

named AS (
    SELECT
        actor_id AS person_id,
        activity_at,
        activity = 'Consent to application' AS is_consent,
        list_transform(
            CAST(if(json_type(targets) = 'ARRAY', targets, '[]') AS JSON[]),
            lambda p: CAST(
                if(json_type(p -> '$.modifiedProperties') = 'ARRAY', p -> '$.modifiedProperties', '[]') AS JSON[]
            )
        ) AS properties,
        -- a withdrawal names the API first; the app may stand among its properties only
        unnest(list_distinct(coalesce(target_ids, []) || list_transform(
            list_filter(flatten(properties), lambda m: m ->> '$.displayName' = 'ServicePrincipal.ObjectID'),
            lambda m: lower(trim(coalesce(m ->> '$.oldValue', m ->> '$.newValue'), '"'))
        ))) AS service_principal_id
    FROM stg_directory_audits
    WHERE
        regexp_matches(activity, '^(Consent to application|Revoke consent|Remove (delegated p|OAuth2P)ermission ?[Gg]rant)$')
        AND result IS DISTINCT FROM 'failure'
        AND actor_id IS NOT NULL
        AND activity_at < CAST($as_of AS DATE) + 1
),

told AS (
    SELECT * FROM named SEMI JOIN young USING (service_principal_id)
),

given AS (
    SELECT service_principal_id, person_id, given_at FROM held
    UNION ALL
    SELECT service_principal_id, person_id, activity_at FROM told WHERE is_consent
),

taken AS (
    SELECT service_principal_id, person_id, taken_at
    FROM held
    -- with an account go its consents
    WHERE NOT by_another AND person_id IN (SELECT user_id FROM stg_users)
    UNION ALL
    SELECT service_principal_id, person_id, activity_at FROM told WHERE NOT is_consent
),

withdrawn AS (
    SELECT
        taken.service_principal_id,
        count(DISTINCT taken.person_id) AS people,
        min(taken.taken_at) AS first_at,
        max(taken.taken_at) AS last_at
    FROM taken
    ASOF INNER JOIN given
        ON taken.service_principal_id = given.service_principal_id
        AND taken.person_id = given.person_id
        AND taken.taken_at >= given.given_at
    WHERE
        taken.taken_at >= CAST($as_of AS DATE) + 1 - CAST($days_new AS INTEGER)
        AND taken.taken_at < CAST($as_of AS DATE) + 1
    GROUP BY taken.service_principal_id
),

consented AS (
    SELECT service_principal_id, count(DISTINCT person_id) AS people FROM given GROUP BY service_principal_id
)

SELECT
    app.service_principal_id,
    app.app_id,
    app.display_name AS app_display_name,
    '' AS subject,
    CAST(withdrawn.people AS DOUBLE) AS measure,
    CAST($min_people AS DOUBLE) AS threshold,
    concat(
        'Of ', consented.people, ' people who consented to this new app, ', withdrawn.people,
        ' took it back, the first on ', strftime(withdrawn.first_at, '%Y-%m-%d'), ', the last on ',
        strftime(withdrawn.last_at, '%Y-%m-%d'), '.'
    ) AS reason,
    json_object(
        'people_who_consented', consented.people, 'people_who_took_back', withdrawn.people,
        'first_at', withdrawn.first_at, 'last_at', withdrawn.last_at, 'publisher_name', app.publisher_name,
        'publisher_verified', app.publisher_verified, 'privilege_level', app.privilege_level
    ) AS evidence
FROM withdrawn
INNER JOIN app_inventory AS app
    ON withdrawn.service_principal_id = app.service_principal_id
INNER JOIN consented
    ON withdrawn.service_principal_id = consented.service_principal_id
WHERE
    withdrawn.people >= $min_people
    AND withdrawn.people >= $min_share * consented.people
ORDER BY app.service_principal_id
