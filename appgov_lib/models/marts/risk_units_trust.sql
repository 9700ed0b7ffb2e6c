-- grain: app x part of likelihood that counts for it: publisher, consent, use, owners, addresses
-- source: app_identity, app_permissions, app_last_use, stg_oauth_app_info, app_owners
WITH permissions AS (
    SELECT
        service_principal_id,
        count(*) AS permissions,
        max(consented_users) FILTER (
            permission_type = 'delegated' AND consent_type = 'user' AND privilege_level IN ('high', 'medium')
        ) AS consenters,
        list(permission) FILTER (in_manifest IS FALSE AND privilege_level IN ('high', 'medium')) AS not_asked,
        list(permission) FILTER (usage = 'unused' AND privilege_level = 'high') AS unused_high,
        -- why it is not known whether they are used, in the words of the first of them
        min(usage_reason) FILTER (usage = 'unknown' AND privilege_level = 'high') AS unknown_reason,
        count(*) FILTER (usage = 'unknown' AND privilege_level = 'high') AS unknown_high,
        count(*) FILTER (permission_type = 'delegated' AND privilege_level IN ('high', 'medium')) AS acts_for_users
    FROM app_permissions
    GROUP BY service_principal_id
),

owners AS (
    SELECT
        service_principal_id,
        count(DISTINCT owner_id) AS owners,
        -- what is not known about an owner is not held against the app
        count(DISTINCT owner_id) FILTER (owner_enabled IS NOT FALSE AND owner_is_guest IS NOT TRUE) AS live,
        count(DISTINCT owner_id) FILTER (owner_is_guest AND owner_enabled IS NOT FALSE) AS guests
    FROM app_owners
    GROUP BY service_principal_id
),

readable AS (
    SELECT
        coalesce(bool_and(status = 'complete') FILTER (
            source IN ('application_owners', 'service_principal_owners', 'users')
        ), false) AS owners,
        coalesce(bool_and(status = 'complete') FILTER (source = 'service_principal_sign_in_activities'), false) AS use
    FROM coverage
),

facts AS (
    SELECT
        i.service_principal_id,
        i.app_origin = 'external' AND NOT i.publisher_verified AS is_unverified,
        i.publisher_name,
        i.created_at,
        i.assignment_required,
        p.* EXCLUDE (service_principal_id),
        coalesce(o.owners, 0) AS owners,
        r.owners AND i.app_origin = 'internal' AND coalesce(o.live, 0) = 0 AS is_ownerless,
        coalesce(o.guests, 0) AS guests,
        greatest(u.last_used_at, g.last_used_at) AS last_used_at,
        -- never seen at all counts from the day it was added, and only where the service's own record of use was read
        coalesce(
            least(u.days_since_last_use, date_diff('day', CAST(g.last_used_at AS DATE), CAST($as_of AS DATE))),
            CASE WHEN r.use THEN date_diff('day', CAST(i.created_at AS DATE), CAST($as_of AS DATE)) END
        ) AS days_unused,
        -- http to the user's own machine is how desktop apps get their tokens
        list_filter(i.reply_urls, lambda a: contains(a, '*')
            OR regexp_matches(a, '(?i)^https?://[0-9.]+([:/]|$)') AND NOT contains(a, '//127.0.0.1')
            OR starts_with(lower(a), 'http://')
                AND NOT regexp_matches(a, '(?i)^http://(localhost|127\.0\.0\.1|\[::1\])([:/]|$)')
        ) AS unsafe
    FROM app_identity AS i
    CROSS JOIN readable AS r
    LEFT JOIN permissions AS p ON p.service_principal_id = i.service_principal_id
    LEFT JOIN owners AS o ON o.service_principal_id = i.service_principal_id
    LEFT JOIN app_last_use AS u ON u.app_id = i.app_id
    -- what app governance saw counts, as in the inventory
    LEFT JOIN stg_oauth_app_info AS g ON g.app_id = i.app_id AND g.last_used_at < CAST($as_of AS DATE) + 1
),

parts AS (
    SELECT
        service_principal_id,
        unnest([
            {'part_id': 'publisher_unverified', 'units': CAST(is_unverified AS BIGINT),
                'why': 'Registered in another tenant by '
                    || coalesce('"' || publisher_name || '", a publisher', 'a publisher') || ' nobody verified.'},
            {'part_id': 'user_consent', 'units': consenters,
                'why': 'At least ' || consenters || CASE consenters WHEN 1 THEN ' user' ELSE ' users' END
                    || ' gave it a high or medium permission without an administrator.'},
            {'part_id': 'not_in_manifest', 'units': len(not_asked),
                'why': 'Its registration never asked for ' || some_of(not_asked) || '.'},
            {'part_id': 'unused_high', 'units': len(unused_high),
                'why': 'High-privilege permissions not used in 30 days: ' || some_of(unused_high) || '.'},
            {'part_id': 'dormant', 'units': CAST(days_unused >= 90 AND permissions > 0 AS BIGINT),
                'why': CASE WHEN last_used_at IS NULL THEN 'Not seen in use since it was added, ' ELSE 'Last used ' END
                    || days_unused || ' days ago; it holds ' || permissions
                    || CASE permissions WHEN 1 THEN ' permission.' ELSE ' permissions.' END},
            {'part_id': 'owner_none', 'units': CAST(is_ownerless AS BIGINT),
                'why': CASE
                    WHEN owners = 0 THEN 'It has no owner.'
                    WHEN guests = owners THEN 'Only guests own it: ' || owners || '.'
                    WHEN guests = 0 THEN 'Every account that owns it is disabled: ' || owners || '.'
                    ELSE 'Its ' || owners || ' owners are ' || guests || ' guests and disabled accounts.'
                END},
            {'part_id': 'reply_url_unsafe', 'units': len(unsafe), 'why': 'Tokens may go to ' || some_of(unsafe) || '.'},
            {'part_id': 'assignment_not_required',
                'units': CAST(assignment_required IS FALSE AND acts_for_users > 0 AS BIGINT),
                'why': 'Any user of the tenant may sign in; high or medium delegated permissions: '
                    || acts_for_users || '.'}
        ], max_depth := 2)
    FROM facts
)

SELECT * FROM parts WHERE units > 0
UNION ALL
-- 0 units: could not be judged
SELECT service_principal_id, 'dormant', 0, 'Nothing that was read says when it was last used.'
FROM facts
WHERE days_unused IS NULL AND permissions > 0
UNION ALL
SELECT service_principal_id, 'unused_high', 0, 'High-privilege permissions of which nobody knows whether they are used: '
    || unknown_high || coalesce(' (' || unknown_reason || ').', '.')
FROM facts
WHERE unknown_high > 0 AND coalesce(len(unused_high), 0) = 0
