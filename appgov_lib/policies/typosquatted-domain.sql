-- grain: app x domain that is a misspelling of Microsoft's or of the tenant's own
-- source: app_domains, domain_lookalikes, app_inventory
WITH hits AS (
    SELECT
        domain,
        imitated,
        owner,
        reads_alike,
        distance,
        -- short names are a letter away from many
        least($max_changes, floor(letters / $letters_per_change)) AS allowed
    FROM domain_lookalikes
),

nearest AS (
    SELECT *
    FROM hits
    WHERE reads_alike OR (distance > 0 AND distance <= allowed)
    QUALIFY row_number() OVER (PARTITION BY domain ORDER BY NOT reads_alike, distance, owner, imitated) = 1
),

named AS (
    SELECT
        d.service_principal_id,
        d.domain,
        max(d.disguised_word) AS disguised_word,
        list(DISTINCT d.place ORDER BY d.place) AS places,
        list(DISTINCT d.host ORDER BY d.host) AS hosts,
        min(d.place) AS place,
        arg_min(d.example, (d.place, d.host)) AS example
    FROM app_domains AS d
    GROUP BY d.service_principal_id, d.domain
)

SELECT
    app.service_principal_id,
    app.app_id,
    app.display_name AS app_display_name,
    named.domain AS subject,
    CAST(nearest.distance AS DOUBLE) AS measure,
    CAST(nearest.allowed AS DOUBLE) AS threshold,
    concat(
        'The ', named.place, ' ', named.example, ' lies under ', named.domain, ', ',
        CASE
            WHEN nearest.imitated IS NULL THEN concat(
                'whose part "', named.disguised_word, '" mixes letters of several alphabets'
            )
            WHEN nearest.reads_alike THEN concat(
                'which reads like ', nearest.imitated, ' of ', nearest.owner, ' and is another domain'
            )
            ELSE concat(
                'which is ', nearest.distance, CASE nearest.distance WHEN 1 THEN ' letter' ELSE ' letters' END,
                ' away from ', nearest.imitated, ' of ', nearest.owner
            )
        END, '.'
    ) AS reason,
    json_object(
        'imitated', nearest.imitated, 'owner', nearest.owner, 'places', named.places, 'hosts', named.hosts,
        'example', named.example, 'app_origin', app.app_origin, 'publisher_name', app.publisher_name,
        'publisher_verified', app.publisher_verified, 'privilege_level', app.privilege_level,
        'consented_users', app.consented_users, 'created_at', app.created_at
    ) AS evidence
FROM named
INNER JOIN app_inventory AS app ON app.service_principal_id = named.service_principal_id
LEFT JOIN nearest ON nearest.domain = named.domain
WHERE app.is_in_scope AND (nearest.imitated IS NOT NULL OR named.disguised_word IS NOT NULL)
ORDER BY app.service_principal_id, subject
