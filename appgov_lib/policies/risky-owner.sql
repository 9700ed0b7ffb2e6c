-- grain: owner of a privileged app who is a guest, or whose account is disabled while others own it too
-- source: app_owners, app_inventory
WITH owners AS (
    SELECT
        service_principal_id,
        owner_id,
        min(owner_name) AS owner_name,
        min(owner_user_principal_name) AS owner_user_principal_name,
        bool_or(owner_is_guest) AS is_guest,
        bool_and(owner_enabled) AS is_enabled
    FROM app_owners
    WHERE owner_type = 'user'
    GROUP BY service_principal_id, owner_id
)

SELECT
    app.service_principal_id,
    app.app_id,
    app.display_name AS app_display_name,
    owner.owner_id AS subject,
    CAST(app.high_privilege_count AS DOUBLE) AS measure,
    CAST($min_high_permissions AS DOUBLE) AS threshold,
    concat(
        coalesce(owner.owner_user_principal_name, owner.owner_name, owner.owner_id),
        CASE
            WHEN owner.is_enabled IS FALSE THEN ', whose account is disabled, still owns the app'
            ELSE ', a guest from another organisation, owns the app'
        END,
        ' and ', CASE WHEN owner.is_enabled IS FALSE THEN 'could, once enabled again, ' ELSE 'can ' END,
        'add a credential and act with its ', app.high_privilege_count,
        CASE WHEN app.high_privilege_count = 1 THEN ' permission' ELSE ' permissions' END, ' of high privilege.'
    ) AS reason,
    json_object(
        'owner_id', owner.owner_id, 'owner_name', owner.owner_name,
        'owner_user_principal_name', owner.owner_user_principal_name, 'is_guest', owner.is_guest,
        'is_enabled', owner.is_enabled, 'live_owner_count', app.live_owner_count,
        'application_id', app.application_id
    ) AS evidence
FROM owners AS owner
INNER JOIN app_inventory AS app
    ON owner.service_principal_id = app.service_principal_id
WHERE
    app.is_in_scope
    AND app.status = 'enabled'
    AND app.high_privilege_count >= $min_high_permissions
    AND (
        (owner.is_guest AND owner.is_enabled IS NOT FALSE)
        -- where nobody else owns it, the policy ownerless-app says so
        OR (owner.is_enabled IS FALSE AND app.live_owner_count > 0)
    )
ORDER BY app.service_principal_id, owner.owner_id
