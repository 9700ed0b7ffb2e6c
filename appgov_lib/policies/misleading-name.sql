-- grain: app of another tenant x part of it (name, publisher) spelt with look-alike letters
-- source: app_inventory, name_skeletons
WITH parts AS (
    SELECT
        app.*,
        part.subject,
        part.written,
        read.disguised_word,
        read.skeleton
    FROM app_inventory AS app
    CROSS JOIN LATERAL (VALUES ('name', app.display_name), ('publisher', app.publisher_name)) AS part (subject, written)
    INNER JOIN name_skeletons AS read
        ON part.written = read.name
    WHERE
        app.is_in_scope
        -- in an app of one's own it is a slip of the keyboard: odd-app-name tells it
        AND app.app_origin <> 'internal'
        AND read.disguised_word IS NOT NULL
        -- what reads like Microsoft is told by imitates-microsoft
        AND NOT contains(read.skeleton, (SELECT skeleton FROM name_skeletons WHERE name = 'Microsoft'))
)

SELECT
    service_principal_id,
    app_id,
    display_name AS app_display_name,
    subject,
    CAST(1 AS DOUBLE) AS measure,
    CAST(NULL AS DOUBLE) AS threshold,
    concat(
        'The ', CASE subject WHEN 'name' THEN 'name of the app' ELSE concat('publisher''s name, "', written, '",') END,
        ' mixes plain letters with look-alikes of another alphabet in "', disguised_word,
        '", which reads like plain letters and is not.'
    ) AS reason,
    json_object(
        'written', written, 'disguised_word', disguised_word, 'reads_like', skeleton, 'publisher_name', publisher_name,
        'publisher_verified', publisher_verified, 'privilege_level', privilege_level, 'created_at', created_at,
        'consented_users', consented_users, 'reply_urls', reply_urls
    ) AS evidence
FROM parts
ORDER BY service_principal_id, subject
