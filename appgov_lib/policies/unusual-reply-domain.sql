-- grain: app x unusual top-level domain of its reply addresses
-- source: app_domains, app_inventory, name_skeletons, reference/unusual_tlds.csv
WITH unusual AS (
    SELECT
        d.service_principal_id,
        d.top_level_domain,
        list(DISTINCT d.host ORDER BY d.host) AS hosts,
        min(d.example) AS example
    FROM app_domains AS d
    INNER JOIN ref_unusual_tlds AS u ON u.top_level_domain = d.top_level_domain
    WHERE d.place = 'reply address'
    GROUP BY d.service_principal_id, d.top_level_domain
),

judged AS (
    SELECT
        app.*,
        unusual.top_level_domain,
        unusual.hosts,
        unusual.example,
        coalesce(
            read.oddity, 'mixes letters of several alphabets in "' || read.disguised_word || '"'
        ) AS oddity,
        app.app_origin <> 'internal' AND NOT coalesce(app.publisher_verified, false) AS is_stranger
    FROM unusual
    INNER JOIN app_inventory AS app ON app.service_principal_id = unusual.service_principal_id
    LEFT JOIN name_skeletons AS read ON read.name = app.display_name
    WHERE app.is_in_scope AND app.permission_count >= $min_permissions
)

SELECT
    service_principal_id,
    app_id,
    display_name AS app_display_name,
    top_level_domain AS subject,
    CAST(permission_count AS DOUBLE) AS measure,
    CAST($min_permissions AS DOUBLE) AS threshold,
    concat(
        'Tokens of the app go to ', example, ', under the unusual top-level domain .', top_level_domain, '; ',
        CASE
            WHEN oddity IS NOT NULL THEN concat('its name ', oddity)
            ELSE 'nobody verified its publisher'
        END,
        ', and it holds ', permission_count, CASE permission_count WHEN 1 THEN ' permission' ELSE ' permissions' END,
        CASE high_privilege_count WHEN 0 THEN '' ELSE concat(', ', high_privilege_count, ' of high privilege') END, '.'
    ) AS reason,
    json_object(
        'hosts', hosts, 'oddity', oddity, 'app_origin', app_origin, 'publisher_name', publisher_name,
        'publisher_verified', publisher_verified, 'privilege_level', privilege_level,
        'consented_users', consented_users, 'created_at', created_at
    ) AS evidence
FROM judged
WHERE oddity IS NOT NULL OR (is_stranger AND privilege_level = 'high')
ORDER BY service_principal_id, subject
