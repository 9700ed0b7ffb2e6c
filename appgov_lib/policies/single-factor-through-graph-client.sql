-- grain: command-line program of Microsoft's x person who got a token for Graph by one factor, from a new network
-- source: stg_sign_ins, app_inventory, reference/command_line_apps.csv
WITH sign_ins AS (
    SELECT
        user_id,
        user_principal_name,
        app_id,
        coalesce('AS' || asn, country) AS network,
        country,
        ip_address,
        created_at,
        authentication_requirement,
        app_id IN (SELECT app_id FROM ref_command_line_apps)
        AND (resource_id = '00000003-0000-0000-c000-000000000000' OR resource_name = 'Microsoft Graph') AS is_client,
        created_at >= CAST($as_of AS DATE) + 1 - $days AS is_now
    FROM stg_sign_ins
    WHERE
        sign_in_type = 'interactive' AND error_code = 0 AND user_id IS NOT NULL AND coalesce(asn, country) IS NOT NULL
        AND created_at >= CAST($as_of AS DATE) + 1 - $days - CAST($history_days AS INTEGER)
        AND created_at < CAST($as_of AS DATE) + 1
),

weak AS (
    SELECT
        app_id,
        user_id,
        max(user_principal_name) AS person,
        count(*) AS sign_ins,
        min(created_at) AS first_at,
        list_sort(list(DISTINCT concat(network, ' (', coalesce(country, 'country unknown'), ')'))) AS places,
        list_sort(list(DISTINCT ip_address) FILTER (ip_address IS NOT NULL)) AS addresses
    FROM sign_ins AS one
    WHERE
        is_client AND is_now AND authentication_requirement = 'singleFactorAuthentication'
        -- the person never used the program, and never came from there with anything
        AND NOT EXISTS (
            SELECT 1 FROM sign_ins AS before
            WHERE before.user_id = one.user_id AND before.created_at < CAST($as_of AS DATE) + 1 - $days
                AND (before.app_id = one.app_id OR before.network = one.network)
        )
    GROUP BY app_id, user_id
),

-- of a person who is never asked for a second factor one factor is no gap
strong AS (
    SELECT user_id, count(*) AS sign_ins
    FROM sign_ins
    WHERE NOT is_now AND authentication_requirement = 'multiFactorAuthentication'
    GROUP BY user_id
    HAVING count(*) >= $min_strong_sign_ins
)

SELECT
    coalesce(app.service_principal_id, weak.app_id) AS service_principal_id,
    weak.app_id,
    coalesce(app.display_name, tool.name) AS app_display_name,
    weak.user_id AS subject,
    CAST(weak.sign_ins AS DOUBLE) AS measure,
    CAST($min_strong_sign_ins AS DOUBLE) AS threshold,
    concat(
        coalesce(weak.person, 'The user ' || weak.user_id), ' got a token for Microsoft Graph with this program ',
        'and one factor, ', weak.sign_ins, CASE WHEN weak.sign_ins = 1 THEN ' time' ELSE ' times' END, ' from ',
        strftime(weak.first_at, '%Y-%m-%d %H:%M'), ' UTC on, from ', array_to_string(weak.places[1:3], ', '),
        '; in the ', CAST($history_days AS INTEGER), ' days before, a second factor was asked for ', strong.sign_ins,
        ' times, the program was never used and that network never seen of the person.'
    ) AS reason,
    json_object(
        'user_id', weak.user_id, 'person', weak.person, 'sign_ins', weak.sign_ins, 'first_at', weak.first_at,
        'places', weak.places, 'addresses', weak.addresses[1:10], 'with_two_factors_before', strong.sign_ins
    ) AS evidence
FROM weak
INNER JOIN strong ON weak.user_id = strong.user_id
INNER JOIN ref_command_line_apps AS tool ON weak.app_id = tool.app_id
LEFT JOIN app_inventory AS app ON weak.app_id = app.app_id
ORDER BY service_principal_id, subject
