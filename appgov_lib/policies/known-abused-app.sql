-- grain: app that is known to have been used in attacks
-- source: app_inventory, stg_sign_ins, audited_apps, reference/abused_apps.csv
WITH listed AS (
    -- a user's own row may stand beside the shipped one
    SELECT
        lower(trim(app_id)) AS app_id,
        min(name) AS name,
        string_agg(DISTINCT seen_used_for, ', ' ORDER BY seen_used_for) AS seen_used_for,
        list({'confidence': confidence, 'as_of': as_of, 'source': source} ORDER BY as_of, source, confidence) AS sources
    FROM ref_abused_apps
    GROUP BY ALL
),

signed_in AS (
    SELECT
        sign_in.app_id,
        count(*) AS sign_ins,
        count(DISTINCT sign_in.user_id) AS users,
        max(sign_in.created_at) AS last_at,
        max(sign_in.app_name) AS app_name
    FROM stg_sign_ins AS sign_in
    WHERE sign_in.app_id IN (SELECT app_id FROM listed)
    GROUP BY sign_in.app_id
),

-- a consent tells of an app that is in no list and has not signed in
audited AS (
    SELECT
        app_id,
        min(object_id) AS object_id,
        max(app_name) AS app_name,
        count(*) AS events,
        min(activity_at) AS first_at,
        list(DISTINCT activity) AS activities,
        list(DISTINCT actor_name) FILTER (actor_name IS NOT NULL) AS actors
    FROM audited_apps
    WHERE app_id IN (SELECT app_id FROM listed) AND result IS DISTINCT FROM 'failure'
    GROUP BY app_id
)

SELECT
    -- imported sign-ins may name an app that the directory was not read for
    coalesce(app.service_principal_id, audited.object_id, listed.app_id) AS service_principal_id,
    listed.app_id,
    coalesce(app.display_name, signed_in.app_name, audited.app_name, listed.name) AS app_display_name,
    '' AS subject,
    CAST(coalesce(signed_in.users, app.consented_users, 0) AS DOUBLE) AS measure,
    CAST(NULL AS DOUBLE) AS threshold,
    concat(
        'The app is listed as ', listed.name, ', seen in attacks (', listed.seen_used_for, '). ',
        CASE
            WHEN app.service_principal_id IS NOT NULL
                THEN concat('Permissions it holds here: ', app.permission_count, '. ')
            ELSE ''
        END,
        CASE
            WHEN signed_in.app_id IS NULL THEN 'No sign-in is known.'
            ELSE concat('Sign-ins known: ', signed_in.sign_ins, ' by ', signed_in.users, ' users, the last on ',
                strftime(signed_in.last_at, '%Y-%m-%d'), '.')
        END,
        CASE
            WHEN audited.app_id IS NOT NULL
                THEN concat(' In the audit log: ', array_to_string(list_sort(audited.activities)[1:3], ', '),
                    coalesce(', first on ' || strftime(audited.first_at, '%Y-%m-%d %H:%M') || ' UTC', ''),
                    coalesce(' by ' || array_to_string(list_sort(audited.actors)[1:3], ', '), ''), '.')
            ELSE ''
        END
    ) AS reason,
    json_object(
        'listed_as', listed.name, 'seen_used_for', listed.seen_used_for, 'sources', listed.sources,
        'consent_type', app.consent_type, 'consented_users', app.consented_users, 'status', app.status,
        'sign_ins', signed_in.sign_ins, 'last_sign_in_at', signed_in.last_at,
        'audit_events', audited.events, 'first_audited_at', audited.first_at, 'activities', list_sort(audited.activities)
    ) AS evidence
FROM listed
LEFT JOIN app_inventory AS app
    ON listed.app_id = app.app_id
LEFT JOIN signed_in
    ON listed.app_id = signed_in.app_id
LEFT JOIN audited
    ON listed.app_id = audited.app_id
WHERE app.service_principal_id IS NOT NULL OR signed_in.app_id IS NOT NULL OR audited.app_id IS NOT NULL
ORDER BY service_principal_id
