-- grain: user who was given a role that owns every app
-- source: stg_directory_audits, stg_organization
WITH events AS (
    SELECT
        audit_id,
        activity_at,
        activity,
        actor_id,
        actor_name,
        CAST(CASE WHEN json_type(targets) = 'ARRAY' THEN targets END AS JSON[]) AS parts
    FROM stg_directory_audits
    WHERE
        -- An activation of a role that was given before is no new role: MS-PIM does that every day.
        regexp_matches(activity, '(?i)^add (eligible )?member to role( in PIM completed.*)?$')
        AND actor_name IS DISTINCT FROM 'MS-PIM'
        AND result IS DISTINCT FROM 'failure'
        AND activity_at >= CAST($as_of AS DATE) + 1 - $days
        AND activity_at < CAST($as_of AS DATE) + 1
),

named AS (
    SELECT
        *,
        list_filter(parts, lambda p: lower(p ->> '$.type') = 'user') AS users,
        list_transform(
            flatten(list_transform(
                parts,
                lambda p: coalesce(CAST(CASE
                    WHEN json_type(p -> '$.modifiedProperties') = 'ARRAY' THEN p -> '$.modifiedProperties'
                END AS JSON[]), [])
            )),
            lambda m: {'name': m ->> '$.displayName', 'value': trim(m ->> '$.newValue', '"')}
        )
        || list_transform(
            list_filter(parts, lambda p: lower(p ->> '$.type') = 'role'),
            lambda p: {'name': 'Role.DisplayName', 'value': p ->> '$.displayName'}
        ) AS properties
    FROM events
),

given AS (
    SELECT
        * EXCLUDE (properties, users, parts),
        users[1] ->> '$.id' AS user_id,
        coalesce(users[1] ->> '$.userPrincipalName', users[1] ->> '$.displayName', users[1] ->> '$.id') AS user_name,
        list_filter(properties, lambda p: (
            p.name = 'Role.DisplayName' AND p.value IN ('Application Administrator', 'Cloud Application Administrator')
        ) OR (
            p.name = 'Role.TemplateId'
            AND lower(p.value) IN ('9b895d92-2cd3-44c7-9d02-a6ac2d5ea5c3', '158c047a-c907-4556-b7ef-446551a6b5f7')
        )) AS roles
    FROM named
)

SELECT
    coalesce((SELECT min(tenant_id) FROM stg_organization), 'tenant') AS service_principal_id,
    CAST(NULL AS VARCHAR) AS app_id,
    'Tenant settings' AS app_display_name,
    coalesce(user_id, user_name) AS subject,
    CAST(count(*) AS DOUBLE) AS measure,
    CAST(1 AS DOUBLE) AS threshold,
    concat(
        max(user_name), ' was given a role that can add credentials to every app (Application Administrator or Cloud '
        'Application Administrator) on ', strftime(min(activity_at), '%Y-%m-%d'), ' by ',
        coalesce(max(actor_name), 'an unknown person'), '.'
    ) AS reason,
    json_object(
        'events', list({'audit_id': audit_id, 'activity': activity, 'at': activity_at, 'actor_name': actor_name}
            ORDER BY activity_at, audit_id),
        'user_id', user_id
    ) AS evidence
FROM given
WHERE len(roles) > 0 AND user_name IS NOT NULL
GROUP BY user_id, coalesce(user_id, user_name)
ORDER BY subject
