-- grain: app x day x type
-- source: stg_sign_ins, kept_sign_ins_daily (days whose raw rows were pruned)
WITH known AS (
    SELECT
        -- a record may name the service principal only
        coalesce(i.app_id, s.app_id) AS app_id,
        CAST(i.created_at AS DATE) AS day,
        i.*  EXCLUDE (app_id)
    FROM stg_sign_ins AS i
    LEFT JOIN stg_service_principals AS s ON s.service_principal_id = i.service_principal_id
    WHERE i.created_at < CAST($as_of AS DATE) + 1
),

counted AS (
    SELECT
        app_id,
        day,
        sign_in_type,
        count(*) AS sign_ins,
        -- interrupted sign-ins (e.g. a prompt for a second factor) have a code of their own and count here too
        count(*) FILTER (error_code <> 0) AS failures,
        count(DISTINCT user_id) AS users,
        count(DISTINCT ip_address) AS ip_addresses,
        count(DISTINCT country) AS countries
    FROM known
    WHERE app_id IS NOT NULL
    GROUP BY app_id, day, sign_in_type
)

-- Of a day that was kept some raw rows may be left at the edge of another file: they are in its sums already.
SELECT c.*
FROM counted AS c
ANTI JOIN kept_sign_ins_daily AS k ON k.day = c.day AND k.sign_in_type = c.sign_in_type
UNION ALL
SELECT *
FROM kept_sign_ins_daily
WHERE day <= CAST($as_of AS DATE)
ORDER BY app_id, day, sign_in_type
