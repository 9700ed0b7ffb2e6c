-- grain: permission, owner, credential, reply URL or publisher that came to, or went from, an approved app
-- source: approved_baselines, app_inventory, app_permissions, app_owners, app_credentials
-- Each kind is compared only where it was known when the app was approved and is known now.
WITH approved AS (
    SELECT DISTINCT i.service_principal_id, b.app_id, b.kind, b.value, b.approved_by, b.approved_on
    FROM approved_baselines AS b
    INNER JOIN app_inventory AS i ON i.app_id = b.app_id
    -- a day before the approval is not held against the app
    WHERE b.approved_on <= CAST($as_of AS DATE) AND (b.kind <> 'owner' OR i.owner_count IS NOT NULL)
),

judged AS (
    SELECT DISTINCT service_principal_id, app_id, kind, approved_by, approved_on FROM approved
),

found AS (
    SELECT
        service_principal_id,
        'permission' AS kind,
        concat_ws(' ', permission_type, permission, resource_id) AS value,
        concat(permission_type, ' permission ', permission, ' of ', coalesce(resource_name, resource_id)) AS words
    FROM app_permissions
    UNION ALL
    SELECT service_principal_id, 'owner', owner_id, concat('owner ', coalesce(owner_name, owner_id)) FROM app_owners
    UNION ALL
    SELECT
        i.service_principal_id,
        'credential',
        concat_ws(' ', c.credential_type, c.key_id),
        concat_ws(' ', c.credential_type, nullif(c.name, ''), c.key_id)
    FROM app_credentials AS c
    INNER JOIN app_inventory AS i ON i.app_id = c.app_id
    UNION ALL
    SELECT service_principal_id, 'reply_url', url, concat('reply URL ', url)
    FROM (SELECT service_principal_id, unnest(reply_urls) AS url FROM app_inventory)
    UNION ALL
    SELECT service_principal_id, 'publisher', publisher, concat('publisher ', publisher)
    FROM (
        SELECT
            service_principal_id,
            concat(coalesce(publisher_name, 'none'), CASE WHEN publisher_verified THEN ', verified' END) AS publisher
        FROM app_inventory
    )
),

-- the same credential may stand on the app and on its registration
present AS (
    SELECT service_principal_id, kind, value, min(words) AS words FROM found GROUP BY service_principal_id, kind, value
),

deviations AS (
    SELECT j.*, 'added' AS change, p.value, p.words
    FROM present AS p
    INNER JOIN judged AS j ON j.service_principal_id = p.service_principal_id AND j.kind = p.kind
    ANTI JOIN approved AS a
        ON a.service_principal_id = p.service_principal_id AND a.kind = p.kind AND a.value = p.value
    UNION ALL
    SELECT
        a.service_principal_id, a.app_id, a.kind, a.approved_by, a.approved_on, 'removed', a.value,
        concat(replace(a.kind, '_', ' '), ' ', a.value)
    FROM approved AS a
    ANTI JOIN present AS p
        ON p.service_principal_id = a.service_principal_id AND p.kind = a.kind AND p.value = a.value
    -- a row without a value says that nothing was approved
    WHERE a.value IS NOT NULL
)

SELECT
    d.service_principal_id,
    d.app_id,
    i.display_name AS app_display_name,
    concat_ws(' ', d.change, d.kind, d.value) AS subject,
    CAST(count(*) OVER (PARTITION BY d.service_principal_id) AS DOUBLE) AS measure,
    CAST($max_deviations AS DOUBLE) AS threshold,
    concat(
        'Since ', d.approved_by, ' approved the app on ', d.approved_on, ', ', d.words,
        CASE d.change WHEN 'added' THEN ' came' ELSE ' went' END, '.'
    ) AS reason,
    json_object(
        'change', d.change,
        'kind', d.kind,
        'value', d.value,
        'approved_by', d.approved_by,
        'approved_on', d.approved_on
    ) AS evidence
FROM deviations AS d
INNER JOIN app_inventory AS i ON i.service_principal_id = d.service_principal_id
QUALIFY count(*) OVER (PARTITION BY d.service_principal_id) > $max_deviations
ORDER BY d.service_principal_id, subject
