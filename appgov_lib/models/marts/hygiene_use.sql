-- grain: service principal x check that says something about it (here: use and status)
-- source: app_inventory, reference/hygiene_checks.csv
WITH limits AS (
    SELECT max(CAST(threshold AS INTEGER)) FILTER (check_id = 'unused_app') AS unused_days
    FROM ref_hygiene_checks
),

apps AS (
    SELECT
        *,
        permission_count > 0 OR len(directory_roles) > 0 AS holds_access,
        permission_count || ' permissions, Entra roles: ' || coalesce(CAST(len(directory_roles) AS VARCHAR), 'not read')
            AS what_it_holds,
        -- an app that was never used is idle since it was added
        date_diff('day', CAST(coalesce(last_used_at, created_at) AS DATE), CAST($as_of AS DATE)) AS idle_days,
        CASE
            WHEN last_used_at IS NULL THEN 'no use known since it was added on ' || CAST(created_at AS DATE)
            ELSE 'last used on ' || CAST(last_used_at AS DATE)
        END AS idle_detail
    FROM app_inventory
)

SELECT service_principal_id AS object_id, 'unused_app' AS check_id, 'yes' AS verdict, '' AS subject,
    CAST(idle_days AS DOUBLE) AS measure, CAST(idle_days AS DOUBLE) AS weight, idle_detail AS detail,
    CAST(NULL AS VARCHAR) AS reason
FROM apps, limits
-- what is switched off is not waiting to be used
WHERE coalesce(status, 'enabled') = 'enabled' AND idle_days >= unused_days
UNION ALL
-- who was seen at work lately is in use, whatever else was not read
SELECT service_principal_id, check_id, 'no', '', idle_days, 0, NULL, NULL
FROM apps, limits, (VALUES ('unused_app'), ('dormant_with_permissions')) AS c(check_id)
WHERE last_used_at IS NOT NULL AND idle_days < unused_days
UNION ALL
SELECT service_principal_id, 'unused_app', 'unknown', '', NULL, 0, NULL,
    'neither a use nor the day it was added is known'
FROM apps
WHERE coalesce(status, 'enabled') = 'enabled' AND idle_days IS NULL
UNION ALL
SELECT service_principal_id, 'dormant_with_permissions', CASE WHEN holds_access THEN 'yes' ELSE 'unknown' END, '',
    idle_days, idle_days, CASE WHEN holds_access THEN concat_ws('; ', idle_detail, what_it_holds) END,
    CASE WHEN holds_access IS NULL THEN 'what it holds is not known' END
FROM apps, limits
WHERE coalesce(status, 'enabled') = 'enabled' AND idle_days >= unused_days AND holds_access IS NOT FALSE
UNION ALL
SELECT service_principal_id, 'dormant_with_permissions', 'unknown', '', NULL, 0, NULL,
    'neither a use nor the day it was added is known'
FROM apps
WHERE coalesce(status, 'enabled') = 'enabled' AND idle_days IS NULL AND holds_access IS NOT FALSE
UNION ALL
SELECT service_principal_id, 'disabled_with_grants', CASE WHEN status IS NULL THEN 'unknown' ELSE 'yes' END, '',
    permission_count, permission_count, CASE WHEN status IS NOT NULL THEN status || ', holds ' || what_it_holds END,
    CASE WHEN status IS NULL THEN 'whether it is enabled is not known' END
FROM apps
WHERE status IS DISTINCT FROM 'enabled' AND holds_access
UNION ALL
SELECT service_principal_id, 'deactivated', CASE WHEN status IS NULL THEN 'unknown' ELSE 'yes' END, '', NULL, 0,
    CASE WHEN status IS NOT NULL THEN 'isDisabled is true' END,
    CASE WHEN status IS NULL THEN 'whether it is enabled is not known' END
FROM apps
WHERE status = 'deactivated' OR status IS NULL
ORDER BY object_id, check_id
