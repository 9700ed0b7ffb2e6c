-- grain: credential on a highly privileged app, added by a person who neither owns it nor added any for months
-- source: credential_additions, app_inventory, app_owners
WITH additions AS (
    SELECT *
    FROM credential_additions
    WHERE
        added_source = 'audit log'
        AND actor_type = 'user'
        AND actor_id IS NOT NULL
        AND added_at >= CAST($as_of AS DATE) + 1 - CAST($days_history AS INTEGER)
        AND added_at < CAST($as_of AS DATE) + 1
),

-- Whoever comes first in all that time: what was added before was added by others.
ordered AS (
    SELECT
        *,
        rank() OVER (ORDER BY added_at) - 1 AS earlier
    FROM additions
),

firsts AS (
    SELECT
        actor_id,
        min(added_at) AS first_at,
        min(earlier) AS by_others
    FROM ordered
    GROUP BY actor_id
),

counted AS (
    SELECT
        *,
        rank() OVER (ORDER BY first_at) - 1 AS other_people
    FROM firsts
    -- who added one before the period is no stranger to it
    QUALIFY first_at >= CAST($as_of AS DATE) + 1 - $days
)

SELECT
    app.service_principal_id,
    app.app_id,
    app.display_name AS app_display_name,
    addition.key_id AS subject,
    CAST(counted.by_others AS DOUBLE) AS measure,
    CAST($min_by_others AS DOUBLE) AS threshold,
    concat(
        coalesce(addition.actor_name, addition.actor_id), ', who does not own the app, added a credential on ',
        strftime(addition.added_at, '%Y-%m-%d %H:%M'), ' UTC; in the ', $days_history, ' days to the end of the period ',
        counted.by_others, ' credentials were added before by ', counted.other_people,
        CASE WHEN counted.other_people = 1 THEN ' other person' ELSE ' other people' END,
        ' and none by this one. The app holds ', app.high_privilege_count,
        CASE WHEN app.high_privilege_count = 1 THEN ' permission' ELSE ' permissions' END, ' of high privilege.'
    ) AS reason,
    json_object(
        'key_id', addition.key_id, 'credential_type', addition.credential_type, 'added_at', addition.added_at,
        'is_present', addition.is_present, 'actor_id', addition.actor_id, 'actor_name', addition.actor_name,
        'actor_ip', addition.actor_ip, 'audit_id', addition.audit_id, 'by_others', counted.by_others,
        'other_people', counted.other_people
    ) AS evidence
FROM additions AS addition
INNER JOIN counted
    ON addition.actor_id = counted.actor_id
INNER JOIN app_inventory AS app
    ON addition.service_principal_id = app.service_principal_id
ANTI JOIN app_owners AS owner
    ON addition.service_principal_id = owner.service_principal_id AND addition.actor_id = owner.owner_id
WHERE
    app.is_in_scope
    -- who owns it is not known: then nobody is a stranger
    AND app.owner_count IS NOT NULL
    AND app.high_privilege_count >= $min_high_permissions
    -- where credentials are rare everybody is unusual
    AND counted.by_others >= $min_by_others
ORDER BY app.service_principal_id, addition.key_id
