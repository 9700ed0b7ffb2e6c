-- grain: app whose people signed in from far more places for each account than before
-- source: stg_sign_ins, app_inventory
WITH now AS (
    SELECT
        app_id,
        count(*) AS sign_ins,
        count(DISTINCT user_id) AS accounts,
        count(DISTINCT concat_ws(' ', country, city)) AS places,
        list_sort(list(DISTINCT concat_ws(' ', country, city))) AS listed,
        list_sort(list(DISTINCT user_principal_name) FILTER (user_principal_name IS NOT NULL)) AS people
    FROM stg_sign_ins
    WHERE
        user_id IS NOT NULL AND error_code = 0 AND country IS NOT NULL
        AND app_id IN (SELECT app_id FROM app_inventory WHERE is_in_scope)
        AND created_at >= CAST($as_of AS DATE) + 1 - $days AND created_at < CAST($as_of AS DATE) + 1
    GROUP BY app_id
    HAVING count(*) < $max_sign_ins AND places >= $min_places AND places >= $min_ratio * accounts
),

-- only of those the past is looked at
weeks AS (
    SELECT
        app_id,
        date_diff('day', CAST(created_at AS DATE), CAST($as_of AS DATE)) // $days AS back,
        count(DISTINCT user_id) AS accounts,
        count(DISTINCT concat_ws(' ', country, city)) AS places
    FROM stg_sign_ins
    WHERE
        user_id IS NOT NULL AND error_code = 0 AND country IS NOT NULL AND app_id IN (SELECT app_id FROM now)
        AND created_at >= CAST($as_of AS DATE) + 1 - $days - CAST($history_days AS INTEGER)
        AND created_at < CAST($as_of AS DATE) + 1 - $days
    GROUP BY ALL
),

compared AS (
    SELECT
        now.*,
        before.periods_before,
        before.ratio_before,
        before.places_before
    FROM now
    INNER JOIN (
        SELECT
            app_id,
            count(*) AS periods_before,
            max(places / accounts) AS ratio_before,
            max(places) AS places_before
        FROM weeks
        GROUP BY app_id
    ) AS before ON now.app_id = before.app_id
)

SELECT
    app.service_principal_id,
    app.app_id,
    app.display_name AS app_display_name,
    '' AS subject,
    round(compared.places / compared.accounts, 2) AS measure,
    round(greatest($min_ratio, $times * compared.ratio_before), 2) AS threshold,
    concat(
        compared.accounts, CASE WHEN compared.accounts = 1 THEN ' person' ELSE ' people' END, ' (',
        CASE WHEN len(compared.people) > 0 THEN array_to_string(compared.people[1:3], ', ') ELSE 'not named' END,
        ') signed in to the app from ', compared.places, ' places, which is ',
        round(compared.places / compared.accounts, 2), ' for each; in none of the ', compared.periods_before,
        ' periods before were there more than ', round(compared.ratio_before, 2), ' for each, and ',
        compared.places_before, ' in all.'
    ) AS reason,
    json_object(
        'places', compared.listed[1:20], 'accounts', compared.accounts, 'people', compared.people[1:10],
        'sign_ins', compared.sign_ins, 'places_before', compared.places_before,
        'ratio_before', round(compared.ratio_before, 2), 'periods_before', compared.periods_before
    ) AS evidence
FROM compared
INNER JOIN app_inventory AS app ON compared.app_id = app.app_id
WHERE
    compared.periods_before >= $min_periods
    AND compared.places > compared.places_before
    AND compared.places / compared.accounts >= greatest($min_ratio, $times * compared.ratio_before)
ORDER BY app.service_principal_id
