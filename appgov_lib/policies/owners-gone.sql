-- grain: app that lost an owner in the period and has none left who can sign in
-- source: changes, app_inventory
WITH lost AS (
    SELECT
        service_principal_id,
        count(*) AS owners,
        max(changed_at) AS changed_at,
        min(subject) AS first_owner,
        arg_max(actor_name, (changed_at, change_id)) AS actor_name
    FROM changes
    WHERE
        kind = 'owner'
        AND change = 'removed'
        AND changed_at >= CAST($as_of AS DATE) + 1 - $days
        AND changed_at < CAST($as_of AS DATE) + 1
    GROUP BY service_principal_id
)

SELECT
    app.service_principal_id,
    app.app_id,
    app.display_name AS app_display_name,
    '' AS subject,
    CAST(app.live_owner_count AS DOUBLE) AS measure,
    CAST($min_owners AS DOUBLE) AS threshold,
    concat(
        lost.first_owner, CASE WHEN lost.owners > 1 THEN concat(' and ', lost.owners - 1, ' more') ELSE '' END,
        ' no longer owned the app from ', strftime(lost.changed_at, '%Y-%m-%d'),
        coalesce(', taken away by ' || lost.actor_name, ''), ', and nobody who can sign in owns it now.'
    ) AS reason,
    json_object(
        'application_id', app.application_id, 'owners_gone', lost.owners, 'changed_at', lost.changed_at,
        'actor_name', lost.actor_name, 'owner_count', app.owner_count, 'live_owner_count', app.live_owner_count,
        'privilege_level', app.privilege_level
    ) AS evidence
FROM lost
INNER JOIN app_inventory AS app
    ON lost.service_principal_id = app.service_principal_id
WHERE
    app.is_in_scope
    AND app.application_id IS NOT NULL
    AND app.status = 'enabled'
    AND app.live_owner_count < $min_owners
ORDER BY app.service_principal_id
