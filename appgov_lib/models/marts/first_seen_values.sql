-- grain: app x dimension x value x day on which the app showed it
-- source: stg_sign_ins, stg_api_activity, api_calls_daily
-- Only the days of which the single rows are kept count.
WITH sign_ins AS (
    SELECT
        app_id,
        CAST(created_at AS DATE) AS day,
        'AS' || asn AS network,
        country,
        agent_family(user_agent) AS user_agent,
        coalesce(resource_name, resource_id) AS resource,
        credential_key_id AS credential,
        count(*) AS events,
        min(created_at) AS first_at
    FROM stg_sign_ins
    WHERE app_id IS NOT NULL AND created_at < CAST($as_of AS DATE) + 1
    GROUP BY ALL
),

calls AS (
    SELECT
        app_id,
        CAST(called_at AS DATE) AS day,
        address_block(ip_address) AS address_block,
        agent_family(user_agent) AS user_agent,
        count(*) AS events,
        min(called_at) AS first_at
    FROM stg_api_activity
    WHERE app_id IS NOT NULL AND called_at < CAST($as_of AS DATE) + 1
    GROUP BY ALL
),

listed AS (
    SELECT app_id, day, 'sign_ins' AS family, dimension, value, events, first_at
    FROM sign_ins
    UNPIVOT (value FOR dimension IN (network, country, user_agent, resource, credential))
    UNION ALL
    SELECT app_id, day, 'api_activity', dimension, value, events, first_at
    FROM calls
    UNPIVOT (value FOR dimension IN (address_block, user_agent))
    UNION ALL
    SELECT app_id, day, 'api_activity', 'endpoint_family', endpoint_family, calls, first_called_at
    FROM api_calls_daily
    WHERE endpoint_family IS NOT NULL
)

SELECT
    app_id,
    family,
    dimension,
    value,
    day,
    CAST(sum(events) AS BIGINT) AS events,
    -- calls read as sums may have the day only
    min(first_at) AS first_at
FROM listed
GROUP BY ALL
