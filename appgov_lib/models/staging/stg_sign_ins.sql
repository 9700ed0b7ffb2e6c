-- grain: sign-in
-- source: every sign_ins_from_* shape; one row per id, the richest shape wins
-- Read twice, and only its ids the first time: a copy of such wide rows would be dearer.
WITH records AS NOT MATERIALIZED (
    SELECT 1 AS preference, * FROM sign_ins_from_graph
    UNION ALL BY NAME
    SELECT 2 AS preference, * FROM sign_ins_from_diagnostic
    UNION ALL BY NAME
    SELECT 3 AS preference, * FROM sign_ins_from_log_analytics
    UNION ALL BY NAME
    SELECT 4 AS preference, * FROM sign_ins_from_unified_audit
),

-- Nearly every sign-in came once, and ranking such wide rows is dear, so only ids whose hash occurs again are ranked.
repeated AS (
    SELECT hash(sign_in_id) AS mark FROM records GROUP BY mark HAVING count(*) > 1
),

ranked AS (
    SELECT
        *,
        count(*) OVER (PARTITION BY sign_in_id) AS copies,
        row_number() OVER (
            PARTITION BY sign_in_id
            -- v1.0 and beta give the same event: the one that names token and credential says more
            ORDER BY preference, token_id IS NULL, credential_key_id IS NULL, user_agent IS NULL,
                created_at, app_id, sign_in_type, error_code, ip_address, risk_level, risk_state
        ) AS choice
    FROM records
    WHERE hash(sign_in_id) IN (SELECT mark FROM repeated)
)

SELECT * EXCLUDE (preference), 1 AS copies
FROM records
WHERE hash(sign_in_id) NOT IN (SELECT mark FROM repeated)
UNION ALL BY NAME
SELECT * EXCLUDE (preference, choice)
FROM ranked
WHERE choice = 1
ORDER BY created_at, sign_in_id
