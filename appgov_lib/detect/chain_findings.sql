-- grain: chain x finding
-- source: findings
-- A chain of an app begins with the first of at least two findings that tell of different moments of the last
-- $chain_days days, one of them of medium severity or more; its other findings are told beside. A chain of an actor is
-- made of the findings about different apps that name the same actor.
WITH told AS (
    SELECT
        *,
        -- when it happened, by the names policies use for it in their evidence
        coalesce(
            TRY_CAST(evidence ->> '$.first_at' AS TIMESTAMP), TRY_CAST(evidence ->> '$.credential_at' AS TIMESTAMP),
            TRY_CAST(evidence ->> '$.power_at' AS TIMESTAMP), TRY_CAST(evidence ->> '$.added_at' AS TIMESTAMP),
            TRY_CAST(evidence ->> '$.changed_at' AS TIMESTAMP), TRY_CAST(evidence ->> '$.first_new_at' AS TIMESTAMP),
            TRY_CAST(evidence ->> '$.risk_updated_at' AS TIMESTAMP), TRY_CAST(evidence ->> '$.removed_at' AS TIMESTAMP),
            TRY_CAST(evidence ->> '$.first_day' AS TIMESTAMP), TRY_CAST(evidence ->> '$.created_at' AS TIMESTAMP)
        ) AS moment,
        coalesce(filled(evidence ->> '$.actor_name'), filled(evidence ->> '$.actors[0]')) AS who,
        list_position(['info', 'low', 'medium', 'high', 'critical'], severity) AS weight
    FROM findings
    WHERE state IN ('new', 'open', 'returned')
),

dated AS (
    SELECT *
    FROM told
    WHERE moment >= CAST($as_of AS DATE) + 1 - $chain_days AND moment < CAST($as_of AS DATE) + 1
),

app_chains AS (
    SELECT
        service_principal_id AS chain_id,
        service_principal_id,
        min(moment) AS begins_at
    FROM dated
    GROUP BY service_principal_id
    HAVING count(DISTINCT policy_id) > 1 AND count(DISTINCT moment) > 1 AND max(weight) >= 3
),

actor_chains AS (
    SELECT 'actor ' || who AS chain_id, who, min(moment) AS begins_at
    FROM dated
    WHERE who IS NOT NULL
    GROUP BY who
    HAVING count(DISTINCT service_principal_id) > 1 AND max(weight) >= 3
),

members AS (
    SELECT chain_id, 'app' AS about, begins_at, told.* FROM told INNER JOIN app_chains USING (service_principal_id)
    UNION ALL
    SELECT chain_id, 'actor' AS about, begins_at, dated.* FROM dated INNER JOIN actor_chains USING (who)
)

SELECT
    chain_id, about, begins_at, finding_id, policy_id, policy_title, service_principal_id, app_id, display_name, moment,
    who, severity, weight, reason
FROM members
ORDER BY chain_id, moment NULLS LAST, finding_id
