-- grain: address, identifier or audience of an app that came or went
-- source: changes, audit_targets_history, app_names_history
-- Two readings show reply addresses and the audience; the audit log shows them between readings and the rest at all.
WITH events AS (
    SELECT
        e.audit_id,
        e.activity_at,
        e.actor_id,
        e.actor_name,
        n.service_principal_id,
        n.app_id,
        n.display_name,
        CASE
            WHEN e.property.name = 'AppAddress' THEN 'reply address'
            WHEN e.property.name = 'AppIdentifierUri' THEN 'identifier URI'
            WHEN e.property.name = 'AvailableToOtherTenants' THEN 'open to other tenants'
            ELSE 'sign-out address'
        END AS property,
        e.property.old AS old_text,
        e.property.new AS new_text
    FROM (
        SELECT * EXCLUDE (properties), unnest(target_ids) AS object_id, property
        FROM (SELECT *, unnest(properties) AS property FROM audit_targets_history)
        WHERE regexp_matches(activity, '(?i)^update (application|service principal)$')
            AND regexp_matches(
                property.name, '^(AppAddress|AppIdentifierUri|AvailableToOtherTenants|(?i:logout_?ur[il]))$'
            )
    ) AS e
    INNER JOIN app_names_history AS n ON n.object_id = e.object_id
    WHERE n.service_principal_id IS NOT NULL
),

-- Values are lists of texts, lists of addresses with their kind (0: reply address), or one text.
listed AS (
    SELECT
        * EXCLUDE (old_text, new_text),
        CASE
            WHEN json_valid(old_text) AND json_type(TRY_CAST(old_text AS JSON)) = 'ARRAY' THEN list_transform(
                list_filter(items(TRY_CAST(old_text AS JSON)), lambda i: coalesce(i ->> '$.AddressType', '0') = '0'),
                lambda i: coalesce(i ->> '$.Address', i ->> '$'))
            ELSE list_filter([filled(old_text)], lambda t: t IS NOT NULL)
        END AS olds,
        CASE
            WHEN json_valid(new_text) AND json_type(TRY_CAST(new_text AS JSON)) = 'ARRAY' THEN list_transform(
                list_filter(items(TRY_CAST(new_text AS JSON)), lambda i: coalesce(i ->> '$.AddressType', '0') = '0'),
                lambda i: coalesce(i ->> '$.Address', i ->> '$'))
            ELSE list_filter([filled(new_text)], lambda t: t IS NOT NULL)
        END AS news
    FROM events
),

told AS (
    SELECT * EXCLUDE (olds, news), 'added' AS change,
        unnest(list_filter(list_distinct(news), lambda v: NOT list_contains(olds, v))) AS value
    FROM listed
    UNION ALL
    SELECT * EXCLUDE (olds, news), 'removed',
        unnest(list_filter(list_distinct(olds), lambda v: NOT list_contains(news, v)))
    FROM listed
),

-- One change is logged for the registration and again for the service principal.
logged AS (
    SELECT
        service_principal_id, property, change, value,
        CAST(activity_at AS DATE) AS day,
        min(activity_at) AS changed_at,
        max(app_id) AS app_id,
        max(display_name) AS display_name,
        arg_min(actor_id, (activity_at, audit_id)) AS actor_id,
        arg_min(actor_name, (activity_at, audit_id)) AS actor_name
    FROM told
    -- that it was closed before goes without saying
    WHERE property <> 'open to other tenants' OR (change = 'added' AND lower(value) = 'true')
    GROUP BY ALL
),

compared AS (
    SELECT
        service_principal_id, app_id, display_name, changed_at, seen_from, seen_at, actor_id, actor_name, source,
        CASE kind WHEN 'reply_url' THEN 'reply address' ELSE 'open to other tenants' END AS property,
        CASE kind WHEN 'reply_url' THEN change ELSE 'added' END AS change,
        CASE kind WHEN 'reply_url' THEN subject ELSE 'true' END AS value
    FROM changes
    WHERE service_principal_id IS NOT NULL
        AND (
            kind = 'reply_url'
            OR (kind = 'property' AND subject = 'sign-in audience' AND before = 'AzureADMyOrg' AND after <> before)
        )
)

SELECT
    changed_at, service_principal_id, app_id, display_name, property, change, value, actor_id, actor_name, source,
    md5(concat_ws(' ', service_principal_id, property, change, changed_at, value)) AS change_id
FROM (
    SELECT * EXCLUDE (seen_from, seen_at)
    FROM compared
    UNION ALL BY NAME
    SELECT l.* EXCLUDE (day), 'audit log' AS source
    FROM logged AS l
    LEFT JOIN compared AS c
        ON c.service_principal_id = l.service_principal_id AND c.property = l.property AND c.change = l.change
        AND c.value = l.value AND l.changed_at > c.seen_from AND l.changed_at <= c.seen_at
    WHERE c.service_principal_id IS NULL
)
QUALIFY row_number() OVER (PARTITION BY change_id ORDER BY source) = 1
ORDER BY changed_at, service_principal_id, property, change, value
