-- grain: setting for consent that was loosened in the period
-- source: changes, stg_directory_audits, stg_organization
WITH audited AS (
    SELECT
        activity_at AS changed_at,
        actor_id,
        actor_name,
        actor_ip,
        unnest(json_extract(targets, '$[*].modifiedProperties[*]')) AS property
    FROM stg_directory_audits
    WHERE
        activity = 'Update authorization policy'
        AND result IS DISTINCT FROM 'failure'
        AND activity_at >= CAST($as_of AS DATE) + 1 - $days
        AND activity_at < CAST($as_of AS DATE) + 1
),

turns AS (
    SELECT
        CASE property ->> '$.displayName'
            WHEN 'AllowUserConsentForRiskyApps' THEN 'users may consent to risky apps'
            WHEN 'PermissionGrantPolicyIdsAssignedToDefaultUserRole'
                THEN 'permission grant policies by which users may consent'
        END AS setting,
        array_to_string(regexp_extract_all(property ->> '$.oldValue', '[\w.-]+'), ', ') AS before,
        array_to_string(regexp_extract_all(property ->> '$.newValue', '[\w.-]+'), ', ') AS after,
        changed_at, actor_id, actor_name, actor_ip, 'audit log' AS source
    FROM audited
    UNION ALL
    SELECT subject, before, after, changed_at, actor_id, actor_name, NULL, source
    FROM changes
    WHERE
        kind = 'setting'
        AND change = 'changed'
        AND changed_at >= CAST($as_of AS DATE) + 1 - $days
        AND changed_at < CAST($as_of AS DATE) + 1
),

-- Policies that were not there before, and how wide the widest of both sides is.
widths AS (
    SELECT
        *,
        list_filter(string_split(after, ', '), lambda name: name <> ''
            AND NOT list_contains(string_split(before, ', '), name)) AS gained,
        coalesce(list_max(list_transform(string_split(before, ', '), lambda name: CASE
            WHEN contains(name, 'microsoft-user-default-legacy') THEN 3
            WHEN name = '' OR contains(name, 'microsoft-pre-approval') THEN 0
            WHEN contains(name, 'microsoft-user-default-low') OR contains(name, 'microsoft-dynamically') THEN 1
            ELSE 2
        END)), 0) AS width_before
    FROM turns
    WHERE setting = 'permission grant policies by which users may consent'
),

loosened AS (
    SELECT setting, before, after, changed_at, actor_id, actor_name, actor_ip, source, 'risky_app_consent' AS subject,
        'Users may consent to apps that Microsoft holds to be risky' AS what
    FROM turns
    WHERE setting = 'users may consent to risky apps' AND lower(after) = 'true' AND lower(before) <> 'true'
    UNION ALL
    SELECT setting, before, after, changed_at, actor_id, actor_name, actor_ip, source, 'user_consent',
        concat('Users may consent by themselves under ', array_to_string(gained, ' and '))
    FROM widths
    -- An assigned policy without the prefix of its kind has no effect.
    WHERE list_max(list_transform(gained, lambda name: CASE
        WHEN NOT starts_with(name, 'ManagePermissionGrantsFor') OR contains(name, 'microsoft-pre-approval') THEN 0
        WHEN contains(name, 'microsoft-user-default-legacy') THEN 3
        WHEN contains(name, 'microsoft-user-default-low') OR contains(name, 'microsoft-dynamically') THEN 1
        ELSE 2
    END)) >= greatest(2, width_before)
    UNION ALL
    SELECT setting, before, after, changed_at, actor_id, actor_name, actor_ip, source, setting,
        concat('The ', setting, CASE WHEN ends_with(setting, ', allows') THEN ' more' ELSE ' less' END)
    FROM turns
    WHERE
        starts_with(setting, 'permission grant policy ')
        -- Microsoft keeps its own policies up to date.
        AND NOT starts_with(setting, 'permission grant policy microsoft-')
        -- Rules of a policy are JSON objects: a new one allows more, a lost one forbids less.
        AND len(list_filter(
            TRY_CAST(concat('[', CASE WHEN ends_with(setting, ', allows') THEN after ELSE before END, ']') AS JSON[]),
            lambda rule: NOT list_contains(
                TRY_CAST(
                    concat('[', CASE WHEN ends_with(setting, ', allows') THEN before ELSE after END, ']') AS JSON[]
                ),
                rule
            )
        )) > 0
)

SELECT
    -- a home with imported logs alone does not know its tenant
    coalesce(organization.tenant_id, 'tenant') AS service_principal_id,
    CAST(NULL AS VARCHAR) AS app_id,
    'Tenant settings' AS app_display_name,
    loosened.subject,
    CAST(count(*) AS DOUBLE) AS measure,
    CAST($min_changes AS DOUBLE) AS threshold,
    concat(
        arg_max(what, (changed_at, source)), ' since ', strftime(max(changed_at), '%Y-%m-%d %H:%M'), ' UTC',
        coalesce(', changed by ' || arg_max(actor_name, (changed_at, source)), ''), '.'
    ) AS reason,
    json_object('changes', list(
        {
            'setting': setting, 'before': before, 'after': after, 'changed_at': changed_at,
            'actor_id': actor_id, 'actor_name': actor_name, 'actor_ip': actor_ip, 'source': source
        } ORDER BY changed_at, source, after
    )) AS evidence
FROM loosened
CROSS JOIN (SELECT min(tenant_id) AS tenant_id FROM stg_organization) AS organization
GROUP BY organization.tenant_id, loosened.subject
HAVING count(*) >= $min_changes
ORDER BY loosened.subject
