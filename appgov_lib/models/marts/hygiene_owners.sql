-- grain: app registered here x check that says something about it
-- source: hygiene_objects, app_owners, stg_owners, stg_users
WITH people AS (
    SELECT service_principal_id AS object_id, owner_id, owner_type, owner_enabled, owner_is_guest, owner_name
    FROM app_owners
    UNION ALL
    -- registrations without a service principal
    SELECT
        w.object_id,
        w.owner_id,
        CASE WHEN w.owner_type = 'unknown' AND u.user_id IS NOT NULL THEN 'user' ELSE w.owner_type END,
        coalesce(u.account_enabled, w.owner_enabled),
        coalesce(u.user_type, w.owner_user_type) = 'Guest',
        coalesce(w.owner_name, u.display_name)
    FROM stg_owners AS w
    INNER JOIN hygiene_objects AS o ON o.object_id = w.object_id AND o.service_principal_id IS NULL
    LEFT JOIN stg_users AS u ON u.user_id = w.owner_id
    WHERE w.object_kind = 'application'
),

-- Somebody who owns registration and service principal is one owner.
owners AS (
    SELECT
        object_id,
        owner_id,
        -- an app that owns an app has no account that could be disabled
        CASE WHEN bool_or(owner_type = 'service_principal') THEN true ELSE bool_and(owner_enabled) END AS is_live,
        coalesce(bool_or(owner_is_guest), CASE WHEN bool_or(owner_type = 'service_principal') THEN false END)
            AS is_guest,
        min(owner_name) AS owner_name
    FROM people
    GROUP BY object_id, owner_id
),

counted AS (
    SELECT
        o.object_id,
        count(w.owner_id) AS owners,
        count(*) FILTER (w.is_live) AS live,
        count(*) FILTER (w.owner_id IS NOT NULL AND w.is_live IS NULL) AS unclear,
        count(*) FILTER (w.is_live IS NOT FALSE AND w.is_guest) AS guests,
        count(*) FILTER (w.is_live IS NOT FALSE AND w.owner_id IS NOT NULL AND w.is_guest IS NULL) AS perhaps_guests,
        count(*) FILTER (w.is_live IS NOT FALSE AND NOT w.is_guest) AS members,
        min(w.owner_name) AS first_name
    FROM hygiene_objects AS o
    LEFT JOIN owners AS w ON w.object_id = o.object_id
    WHERE list_contains(o.kinds, 'own')
    GROUP BY o.object_id
)

SELECT object_id, 'ownerless' AS check_id, CASE WHEN unclear > 0 THEN 'unknown' ELSE 'yes' END AS verdict,
    '' AS subject,
    CAST(live AS DOUBLE) AS measure, CAST(0 AS DOUBLE) AS weight,
    CASE WHEN unclear = 0 THEN CASE WHEN owners = 0 THEN 'no owner' ELSE 'owners, all disabled: ' || owners END END
        AS detail,
    CASE WHEN unclear > 0 THEN 'whether the owner can sign in is not known' END AS reason
FROM counted
WHERE live = 0
UNION ALL
-- one owner who can sign in is enough, whatever else was not read
SELECT object_id, check_id, 'no', '', live, 0, NULL, NULL
FROM counted, (VALUES ('ownerless'), ('only_disabled_owners')) AS c(check_id)
WHERE live > 0
UNION ALL
SELECT object_id, 'only_guest_owners', 'no', '', members, 0, NULL, NULL
FROM counted
WHERE members > 0
UNION ALL
SELECT object_id, 'only_disabled_owners', CASE WHEN unclear > 0 THEN 'unknown' ELSE 'yes' END, coalesce(first_name, ''),
    owners, 0, CASE WHEN unclear = 0 THEN 'owners, all disabled: ' || owners END,
    CASE WHEN unclear > 0 THEN 'whether the owner can sign in is not known' END
FROM counted
WHERE owners > 0 AND live = 0
UNION ALL
SELECT object_id, 'only_guest_owners', CASE WHEN perhaps_guests > 0 THEN 'unknown' ELSE 'yes' END,
    coalesce(first_name, ''), guests, 0,
    CASE WHEN perhaps_guests = 0 THEN 'owners who can sign in, all guests: ' || guests END,
    CASE WHEN perhaps_guests > 0 THEN 'whether the owner is a guest is not known' END
FROM counted
WHERE members = 0 AND guests + perhaps_guests > 0
ORDER BY object_id, check_id
