-- grain: access given or taken in an audit event (event x kind x target x value)
-- source: audit_targets_history
-- One event names several targets, and which of them holds what differs between activities: every target is tried, and
-- the ids in the list decide. Old and new values are compared, because a repeated consent adds nothing.
WITH properties AS (
    SELECT * EXCLUDE (properties), unnest(properties, max_depth := 2)
    FROM audit_targets_history
),

-- '[[Id: .., PrincipalId: .., ConsentType: Principal, Scope: A B, ..]] => [[..]]'
consents AS (
    SELECT audit_id, 'before' AS side,
        unnest(regexp_extract_all(string_split(new, '=>')[1], '\[[^\[\]]*\]')) AS entry
    FROM properties
    WHERE name = 'ConsentAction.Permissions'
    UNION ALL
    SELECT audit_id, 'after', unnest(regexp_extract_all(string_split(new, '=>')[2], '\[[^\[\]]*\]'))
    FROM properties
    WHERE name = 'ConsentAction.Permissions'
),

scopes AS (
    SELECT
        audit_id,
        side,
        guid(regexp_extract(entry, 'ResourceId: *([^,\]]*)', 1)) AS resource_id,
        guid(regexp_extract(entry, 'PrincipalId: *([^,\]]*)', 1)) AS principal_id,
        filled(trim(regexp_extract(entry, 'ConsentType: *([^,\]]*)', 1))) AS consent_type,
        unnest(string_split_regex(trim(regexp_extract(entry, 'Scope: *([^,\]]*)', 1)), '\s+')) AS value
    FROM consents
    UNION ALL
    SELECT p.audit_id, v.side, NULL, NULL, t.consent_type, unnest(string_split_regex(trim(v.value), '\s+'))
    FROM properties AS p
    CROSS JOIN LATERAL (VALUES ('before', p.old), ('after', p.new)) AS v (side, value)
    LEFT JOIN (
        SELECT audit_id, max(coalesce(new, old)) AS consent_type
        FROM properties
        WHERE name = 'DelegatedPermissionGrant.ConsentType'
        GROUP BY audit_id
    ) AS t ON t.audit_id = p.audit_id
    WHERE p.name = 'DelegatedPermissionGrant.Scope'
),

roles_and_keys AS (
    SELECT p.audit_id, 'application' AS kind, v.side, guid(v.value) AS value
    FROM properties AS p
    CROSS JOIN LATERAL (VALUES ('before', p.old), ('after', p.new)) AS v (side, value)
    WHERE p.name = 'AppRole.Id'
    UNION ALL
    SELECT p.audit_id, 'application', v.side, filled(v.value)
    FROM properties AS p
    CROSS JOIN LATERAL (VALUES ('before', p.old), ('after', p.new)) AS v (side, value)
    WHERE p.name = 'AppRole.Value'
    UNION ALL
    SELECT p.audit_id, 'credential', v.side,
        unnest(list_transform(regexp_extract_all(v.value, 'KeyIdentifier=([0-9a-fA-F-]{36})', 1), lambda k: guid(k)))
    FROM properties AS p
    CROSS JOIN LATERAL (VALUES ('before', p.old), ('after', p.new)) AS v (side, value)
    WHERE p.name = 'KeyDescription'
),

compared AS (
    SELECT audit_id, 'delegated' AS kind, value, resource_id, principal_id, consent_type,
        bool_or(side = 'before') AS before, bool_or(side = 'after') AS after
    FROM scopes
    GROUP BY ALL
    UNION ALL BY NAME
    SELECT audit_id, kind, value, bool_or(side = 'before') AS before, bool_or(side = 'after') AS after
    FROM roles_and_keys
    GROUP BY ALL
),

effects AS (
    -- an event that takes away may still write the value as the new one
    SELECT c.* EXCLUDE (before, after),
        CASE WHEN c.after AND NOT starts_with(a.activity, 'Remove') THEN 'added' ELSE 'removed' END AS effect
    FROM compared AS c
    INNER JOIN audit_targets_history AS a USING (audit_id)
    WHERE c.value <> '' AND (c.before <> c.after OR starts_with(a.activity, 'Remove'))
    UNION ALL BY NAME
    SELECT audit_id, 'owner' AS kind, unnest(ids) AS value,
        CASE WHEN starts_with(activity, 'Add') THEN 'added' ELSE 'removed' END AS effect
    FROM audit_targets_history
    WHERE regexp_matches(activity, '^(Add|Remove) owner (to|from) ')
    UNION ALL BY NAME
    SELECT audit_id, 'role' AS kind, unnest(ids) AS value,
        CASE WHEN starts_with(activity, 'Add') THEN 'added' ELSE 'removed' END AS effect
    FROM audit_targets_history
    WHERE regexp_matches(activity, '^(Add|Remove) member (to|from) role')
    UNION ALL BY NAME
    -- with an object goes everything it holds; value NULL stands for all
    SELECT audit_id, 'deletion' AS kind, 'removed' AS effect
    FROM audit_targets_history
    WHERE regexp_matches(activity, '^(Hard )?(Remove|Delete|delete) (application|service principal|user)$')
)

SELECT c.*, a.activity_at, a.activity, a.actor_id, a.actor_name, a.ids, unnest(a.ids) AS holder_id
FROM effects AS c
INNER JOIN audit_targets_history AS a USING (audit_id)
