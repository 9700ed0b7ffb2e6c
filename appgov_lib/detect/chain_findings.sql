-- grain: chain x finding
-- source: findings
-- A chain of an app begins with the first of at least two findings that tell of different moments of the last
-- $chain_days days, one of them of medium severity or more; its other findings are told beside. A chain of an actor is
-- made of the findings about different apps that name the same actor.
WITH told AS (
    SELECT
        *,
        -- when it happened, by the names policies use for it in their evidence; what is older is no part of it
        list_filter(
            list_transform(
                [
                    'first_at', 'credential_at', 'power_at', 'added_at', 'changed_at',
                    'reached_at', 'received_at', 'granted_at', 'first_new_at', 'risk_updated_at',
                    'removed_at', 'first_rule_on', 'first_seen_at', 'first_audited_at', 'began_on',
                    'minute', 'most_on', 'first_day', 'created_at'
                ],
                lambda name: TRY_CAST(evidence ->> name AS TIMESTAMP)
            ),
            lambda found: found >= CAST($as_of AS DATE) + 1 - $chain_days AND found < CAST($as_of AS DATE) + 1
        )[1] AS moment,
        coalesce(filled(evidence ->> '$.actor_name'), filled(evidence ->> '$.actors[0]')) AS who,
        list_position(['info', 'low', 'medium', 'high', 'critical'], severity) AS weight
    FROM findings
    WHERE state IN ('new', 'open', 'returned')
),

dated AS (
    SELECT *
    FROM told
    WHERE moment IS NOT NULL
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
