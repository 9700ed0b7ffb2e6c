-- grain: person x tool of Microsoft with which they listed many kinds of directory objects, as never before
-- source: stg_api_activity, stg_users, app_inventory
-- Here Microsoft's own clients are the point: they are in every tenant, so it is the person who is compared.
WITH tools (app_id, tool) AS (
    VALUES
        ('14d82eec-204b-4c2f-b7e8-296a70dab67e', 'Microsoft Graph PowerShell'),
        ('de8bc8b5-d9f9-48b1-a8ad-b748da725064', 'Graph Explorer'),
        ('04b07795-8ddb-461a-bbee-02f9e1bf7b46', 'Azure CLI'),
        ('1950a258-227b-4e31-a9cf-717495945fc2', 'Azure PowerShell')
),

requests AS (
    SELECT call.app_id, tools.tool, call.user_id, call.called_at, lower(split_part(call.endpoint, '/', 2)) AS category
    FROM stg_api_activity AS call
    INNER JOIN tools ON call.app_id = tools.app_id
    WHERE
        call.method = 'GET' AND call.resource_type IN ('directory', 'files', 'sites') AND NOT call.is_batch_envelope
        AND call.user_id IS NOT NULL
        AND call.called_at >= CAST($as_of AS DATE) - $days - CAST($history_days AS INTEGER) + 1
        AND call.called_at < CAST($as_of AS DATE) + 1
),

bursts AS (
    SELECT
        app_id,
        tool,
        user_id,
        date_trunc('minute', called_at) AS moment,
        count(*) AS calls,
        list_sort(list(DISTINCT category)) AS categories
    FROM requests
    WHERE category <> 'me'
    GROUP BY ALL
    HAVING count(*) >= $min_calls AND count(DISTINCT category) >= $min_categories
),

compared AS (
    SELECT
        app_id,
        tool,
        user_id,
        count(*) FILTER (moment < CAST($as_of AS DATE) + 1 - $days) AS bursts_before,
        count(*) FILTER (moment >= CAST($as_of AS DATE) + 1 - $days) AS bursts,
        max(calls) FILTER (moment >= CAST($as_of AS DATE) + 1 - $days) AS calls,
        arg_max({'moment': moment, 'categories': categories}, (calls, moment))
            FILTER (moment >= CAST($as_of AS DATE) + 1 - $days) AS most
    FROM bursts
    GROUP BY app_id, tool, user_id
),

-- Without a past of the log everybody does so for the first time.
looked AS (
    SELECT count(DISTINCT day) AS days
    FROM covered_days
    WHERE source = 'api_activity' AND day <= CAST($as_of AS DATE) - $days
)

SELECT
    coalesce(app.service_principal_id, compared.app_id) AS service_principal_id,
    compared.app_id,
    coalesce(app.display_name, compared.tool) AS app_display_name,
    compared.user_id AS subject,
    CAST(compared.calls AS DOUBLE) AS measure,
    CAST($min_calls AS DOUBLE) AS threshold,
    concat(
        'In the minute of ', strftime(compared.most.moment, '%Y-%m-%d %H:%M'), ' UTC ',
        coalesce(person.user_principal_name, compared.user_id), ' read ', len(compared.most.categories),
        ' kinds of directory objects in ', compared.calls, ' calls with ', compared.tool, ' (',
        array_to_string(compared.most.categories[1:6], ', '), '), which this person had not done in ', looked.days,
        ' covered days before.'
    ) AS reason,
    json_object(
        'user_id', compared.user_id, 'moment', compared.most.moment, 'categories', compared.most.categories,
        'calls', compared.calls, 'bursts', compared.bursts, 'covered_days_before', looked.days
    ) AS evidence
FROM compared
CROSS JOIN looked
LEFT JOIN app_inventory AS app
    ON compared.app_id = app.app_id
LEFT JOIN stg_users AS person
    ON compared.user_id = person.user_id
WHERE
    compared.bursts > 0
    AND compared.bursts_before = 0
    AND looked.days >= $min_history_days
ORDER BY compared.app_id, compared.user_id
