-- grain: app that had mail sent on to people outside the tenant
-- source: stg_office_activity, stg_organization, app_inventory
WITH forwards AS (
    SELECT
        record.app_id,
        record.occurred_at,
        record.operation,
        coalesce(record.user_principal_name, record.user_id) AS mailbox,
        record.forwards_to,
        lower(unnest(coalesce(
            nullif(regexp_extract_all(record.forwards_to, '@([^\s;,<>"\]]+)', 1), []),
            ['']  -- a name without an address: nobody can tell whether that is outside
        ))) AS domain
    FROM stg_office_activity AS record
    WHERE
        record.forwards_to IS NOT NULL
        AND record.app_id IS NOT NULL
        AND record.result IS DISTINCT FROM 'failure'
        AND record.occurred_at >= CAST($as_of AS DATE) + 1 - $days
        AND record.occurred_at < CAST($as_of AS DATE) + 1
),

own AS (
    SELECT lower(unnest(verified_domains)) AS domain FROM stg_organization
),

outside AS (
    SELECT
        app_id,
        count(DISTINCT (occurred_at, operation, mailbox, forwards_to)) AS settings,
        min(occurred_at) AS first_at,
        max(occurred_at) AS last_at,
        list_sort(list(DISTINCT forwards_to)) AS recipients,
        list_sort(list(DISTINCT mailbox) FILTER (mailbox IS NOT NULL)) AS mailboxes,
        list_sort(list(DISTINCT operation)) AS operations
    FROM forwards
    WHERE domain NOT IN (SELECT domain FROM own WHERE domain IS NOT NULL)
    GROUP BY app_id
)

SELECT
    app.service_principal_id,
    app.app_id,
    app.display_name AS app_display_name,
    '' AS subject,
    CAST(outside.settings AS DOUBLE) AS measure,
    CAST($min_settings AS DOUBLE) AS threshold,
    concat(
        'Since ', strftime(outside.first_at, '%Y-%m-%d %H:%M'), ' UTC the app has mail sent on, set ', outside.settings,
        CASE WHEN outside.settings = 1 THEN ' time' ELSE ' times' END, ', to ',
        array_to_string(outside.recipients[1:3], ', '),
        CASE
            WHEN len(outside.mailboxes) > 0 THEN ', for ' || array_to_string(outside.mailboxes[1:3], ', ')
            ELSE ''
        END,
        '.'
    ) AS reason,
    json_object(
        'recipients', outside.recipients, 'mailboxes', outside.mailboxes, 'operations', outside.operations,
        'first_at', outside.first_at, 'last_at', outside.last_at, 'app_origin', app.app_origin,
        'publisher_verified', app.publisher_verified, 'privilege_level', app.privilege_level
    ) AS evidence
FROM outside
INNER JOIN app_inventory AS app
    ON outside.app_id = app.app_id
WHERE
    app.is_in_scope
    AND outside.settings >= $min_settings
ORDER BY app.service_principal_id
