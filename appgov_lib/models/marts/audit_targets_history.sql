-- grain: audit event that may have given, changed or taken access
-- source: stg_directory_audits
WITH events AS (
    SELECT
        audit_id,
        activity_at,
        activity,
        actor_id,
        actor_name,
        target_ids,
        flatten(list_transform(items(targets), lambda t: list_transform(
            items(json_extract(t, '$.modifiedProperties')),
            lambda p: {
                'name': json_extract_string(p, '$.displayName'),
                'old': unquoted(json_extract_string(p, '$.oldValue')),
                'new': unquoted(json_extract_string(p, '$.newValue'))
            }
        ))) AS properties
    FROM stg_directory_audits
    WHERE activity_at IS NOT NULL
        AND result <> 'failure'
        AND regexp_matches(activity, '(?i)consent|permission grant|app role|owner|to role|from role|credential|secret'
            || '|(add|update|remove|delete).*(application|service principal)|delete user')
)

SELECT
    *,
    -- some targets stand only among the properties, e.g. the client of a permission or the role of a member
    list_distinct(target_ids || list_filter(
        flatten(list_transform(
            list_filter(properties, lambda p: regexp_matches(p.name, '\.(ObjectID|TemplateId)$')),
            lambda p: [guid(p.new), guid(p.old)]
        )),
        lambda i: i IS NOT NULL
    )) AS ids
FROM events
