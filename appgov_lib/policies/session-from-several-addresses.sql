-- grain: app of which one session was used from two countries, or from an unknown network, within an hour
-- source: stg_api_activity, stg_sign_ins, app_first_seen, app_inventory
-- The token joins a sign-in to the calls made with it.
WITH new_blocks AS (
    SELECT seen.app_id, seen.value AS block, seen.first_seen_at, seen.values_before
    FROM app_first_seen AS seen
    INNER JOIN app_inventory AS app ON seen.app_id = app.app_id
    WHERE
        app.is_in_scope AND seen.family = 'api_activity' AND seen.dimension = 'address_block'
        AND seen.first_seen_at >= CAST($as_of AS DATE) + 1 - $days AND seen.look_back_days >= $min_history_days
        AND seen.values_before > 0
),

addresses AS (
    SELECT
        token_id, app_id, user_id, ip_address, called_at AS used_at, CAST(NULL AS VARCHAR) AS country, true AS is_call
    FROM stg_api_activity
    WHERE
        token_id IS NOT NULL AND ip_address IS NOT NULL AND user_id IS NOT NULL
        AND app_id IN (SELECT app_id FROM new_blocks)
        AND called_at >= CAST($as_of AS DATE) + 1 - $days AND called_at < CAST($as_of AS DATE) + 1
    UNION ALL
    SELECT token_id, app_id, user_id, ip_address, created_at, country, false
    FROM stg_sign_ins
    WHERE
        token_id IS NOT NULL AND ip_address IS NOT NULL AND user_id IS NOT NULL AND error_code = 0
        AND app_id IN (SELECT app_id FROM new_blocks)
        AND created_at >= CAST($as_of AS DATE) - $days AND created_at < CAST($as_of AS DATE) + 1
),

places_seen AS (
    SELECT DISTINCT ip_address, country FROM stg_sign_ins WHERE ip_address IS NOT NULL
),

-- /24 of IPv4, /48 of IPv6, spelled as app_first_seen spells it
blocks AS (
    SELECT
        ip_address,
        CASE
            WHEN contains(ip_address, ':')
                THEN rtrim(regexp_extract(lower(ip_address), '^([0-9a-f]{0,4}:){2}[0-9a-f]{0,4}'), ':') || '::/48'
            ELSE regexp_extract(ip_address, '^(\d+\.\d+\.\d+)\.', 1) || '.0/24'
        END AS block
    FROM (SELECT ip_address FROM places_seen UNION SELECT ip_address FROM addresses)
),

-- where in the world a block is, say the sign-ins of everybody; a block in two countries is nowhere
places AS (
    SELECT block, CASE WHEN count(DISTINCT country) = 1 THEN min(country) END AS country
    FROM places_seen
    INNER JOIN blocks USING (ip_address)
    GROUP BY block
),

stays AS (
    SELECT
        token_id, app_id, user_id, block,
        min(ip_address) AS address,
        max(country) AS country,
        min(used_at) AS first_at, max(used_at) AS last_at,
        count(*) FILTER (is_call) AS calls
    FROM addresses
    INNER JOIN blocks USING (ip_address)
    GROUP BY ALL
),

sessions AS (
    SELECT
        there.app_id, there.token_id, there.user_id, there.first_at, there.calls,
        there.address AS new_address, here.address AS first_address,
        coalesce(there.country, there_place.country) AS new_country,
        coalesce(here.country, here_place.country) AS first_country
    FROM stays AS there
    INNER JOIN new_blocks AS new
        ON there.app_id = new.app_id AND there.block = new.block AND there.first_at <= new.first_seen_at
    INNER JOIN stays AS here
        ON there.token_id = here.token_id AND there.user_id = here.user_id AND there.block <> here.block
        AND here.first_at <= there.first_at AND there.first_at <= here.last_at + $minutes * INTERVAL 1 MINUTE
    LEFT JOIN places AS there_place ON there.block = there_place.block
    LEFT JOIN places AS here_place ON here.block = here_place.block
    WHERE
        there.calls > 0
        AND CASE
            WHEN there_place.block IS NOT NULL
                THEN coalesce(there.country, there_place.country) <> coalesce(here.country, here_place.country)
            -- nobody signs in from there: said only of apps that stay where they are, and not of IPv4 beside IPv6
            ELSE new.values_before <= $max_blocks AND contains(there.address, ':') = contains(here.address, ':')
        END
    QUALIFY row_number() OVER (
        PARTITION BY there.app_id, there.token_id ORDER BY there.first_at, here.first_at, here.block, there.block
    ) = 1
)

SELECT
    app.service_principal_id,
    app.app_id,
    app.display_name AS app_display_name,
    '' AS subject,
    CAST(count(*) AS DOUBLE) AS measure,
    CAST($min_sessions AS DOUBLE) AS threshold,
    concat(
        count(*), CASE WHEN count(*) = 1 THEN ' session' ELSE ' sessions' END, ' of ', count(DISTINCT s.user_id),
        CASE WHEN count(DISTINCT s.user_id) = 1 THEN ' person' ELSE ' people' END, ' with this app went on within ',
        CAST($minutes AS INTEGER), ' minutes from an address block never seen of the app: on ',
        strftime(min(s.first_at), '%Y-%m-%d %H:%M'), ' UTC from ',
        arg_min(concat(
            s.first_address, ' (', coalesce(s.first_country, 'country unknown'), ') to ', s.new_address, ' (',
            coalesce(s.new_country, 'country unknown'), '), ', s.calls, ' calls'
        ), (s.first_at, s.token_id)), '.'
    ) AS reason,
    json_object(
        'sessions', list({'user_id': s.user_id, 'at': s.first_at, 'from': s.first_address, 'to': s.new_address,
            'from_country': s.first_country, 'to_country': s.new_country, 'calls': s.calls}
            ORDER BY s.first_at, s.token_id)[1:10]
    ) AS evidence
FROM sessions AS s
INNER JOIN app_inventory AS app ON s.app_id = app.app_id
GROUP BY app.service_principal_id, app.app_id, app.display_name
HAVING count(*) >= $min_sessions
ORDER BY app.service_principal_id
