-- grain: audit event that is about an app
-- source: stg_directory_audits, app_identity, stg_service_principals, stg_applications, reference/first_party_apps.csv
-- Refused events and events without a time are in it. An app of which only logs were imported is known from here alone.
WITH events AS (
    SELECT
        audit_id,
        activity_at,
        activity,
        result,
        result_reason,
        actor_id,
        actor_type,
        actor_name,
        actor_app_id,
        actor_ip,
        target_type,
        target_ids,
        -- what is given is told of the API, and of the app that gets it
        regexp_matches(activity, '^(Add|Remove|Update) (app role assignment|delegated permission grant)') AS is_grant,
        list_filter(items(targets), lambda t:
            replace(lower(json_extract_string(t, '$.type')), ' ', '') IN ('application', 'serviceprincipal')
            AND guid(json_extract_string(t, '$.id')) IS NOT NULL
        ) AS app_targets,
        flatten(list_transform(items(targets), lambda t: list_transform(
            items(json_extract(t, '$.modifiedProperties')),
            lambda p: {
                'name': json_extract_string(p, '$.displayName'),
                'value': coalesce(
                    changed_value(json_extract_string(p, '$.newValue')), changed_value(json_extract_string(p, '$.oldValue'))
                )
            }
        ))) AS properties,
        list_filter(items(details), lambda d: json_extract_string(d, '$.key') = 'AppId')[1] ->> '$.value' AS detail_app_id
    FROM stg_directory_audits
    WHERE regexp_matches(activity, '(?i)application|service principal|consent|permission grant|app role assignment')
),

named AS (
    SELECT
        * EXCLUDE (app_targets, properties),
        -- who gets an owner or a permission stands among the properties
        guid(list_filter(properties, lambda p: p.name IN ('Application.ObjectID', 'ServicePrincipal.ObjectID'))[1].value)
            AS getter_id,
        list_filter(properties, lambda p: lower(p.name) IN ('application.appid', 'serviceprincipal.appid'))[1].value
            AS getter_app_id,
        list_filter(properties, lambda p: p.name IN ('Application.DisplayName', 'ServicePrincipal.DisplayName'))[1].value
            AS getter_name,
        app_targets[CASE WHEN is_grant THEN -1 ELSE 1 END] AS app_target,
        list_filter(properties, lambda p: lower(p.name) IN ('appid', 'appprincipalid', 'targetid.serviceprincipalnames'))
            AS own_ids
    FROM events
),

told AS (
    SELECT
        * EXCLUDE (getter_id, getter_app_id, getter_name, app_target, own_ids, detail_app_id, is_grant, target_type, target_ids),
        coalesce(
            getter_id,
            guid(app_target ->> '$.id'),
            CASE WHEN target_type IS NULL AND NOT is_grant THEN target_ids[1] END
        ) AS object_id,
        filled(coalesce(getter_name, app_target ->> '$.displayName')) AS app_name,
        -- the names of a service principal are a list of its app id and addresses
        guid(nullif(regexp_extract(
            coalesce(getter_app_id, CASE WHEN NOT is_grant THEN coalesce(detail_app_id, own_ids[1].value) END),
            '[0-9a-fA-F]{8}-[-0-9a-fA-F]{27}'
        ), '')) AS told_app_id
    FROM named
)

SELECT
    told.audit_id,
    told.activity_at,
    told.activity,
    told.result,
    told.result_reason,
    told.object_id,
    coalesce(sp.app_id, registration.app_id, told.told_app_id) AS app_id,
    coalesce(told.app_name, sp.display_name, registration.display_name) AS app_name,
    sp.service_principal_id IS NOT NULL OR registration.application_id IS NOT NULL AS is_in_directory,
    coalesce(app.is_first_party, microsoft.app_id IS NOT NULL) AS is_first_party,
    told.actor_id,
    told.actor_type,
    told.actor_name,
    told.actor_ip,
    -- managed identities rotate their certificates by themselves. A name proves nothing where an id can be had.
    told.actor_type = 'service_principal'
        AND coalesce(actor.app_id, told.actor_app_id) IS NOT DISTINCT FROM rotation.app_id
        OR told.actor_type = 'service_principal' AND coalesce(actor.app_id, told.actor_app_id) IS NULL
        AND told.actor_name IS NOT DISTINCT FROM rotation.name AS is_rotation
FROM told
LEFT JOIN stg_service_principals AS sp ON told.object_id = sp.service_principal_id
LEFT JOIN stg_applications AS registration ON told.object_id = registration.application_id
LEFT JOIN app_identity AS app ON told.object_id = app.service_principal_id
LEFT JOIN ref_first_party_apps AS microsoft
    ON coalesce(sp.app_id, registration.app_id, told.told_app_id) = microsoft.app_id
LEFT JOIN stg_service_principals AS actor ON told.actor_id = actor.service_principal_id
LEFT JOIN (SELECT min(app_id) AS app_id, name FROM ref_first_party_apps WHERE name = 'Managed Service Identity' GROUP BY name)
    AS rotation ON true
WHERE told.object_id IS NOT NULL
ORDER BY told.activity_at, told.audit_id
