-- grain: name of an app or publisher
-- source: app_inventory, reference/first_party_apps.csv; read by name_skeleton and disguised_word
-- (appgov_lib/lookalikes.py)
WITH names AS (
    SELECT display_name AS name FROM app_inventory
    UNION
    SELECT publisher_name FROM app_inventory
    UNION
    SELECT name FROM ref_first_party_apps
    UNION
    SELECT unnest(['Microsoft', 'Microsoft Corporation'])
)

SELECT
    name,
    name_skeleton(name) AS skeleton,
    nullif(disguised_word(name), '') AS disguised_word,
    CASE
        -- signs that turn the reading direction, have no width, or steer a terminal
        WHEN regexp_matches(
            name, '[\x{202A}-\x{202E}\x{2066}-\x{2069}\x{200B}\x{2060}\x{FEFF}\x{00}-\x{1F}\x{7F}]'
        ) THEN 'holds signs that cannot be seen'
        WHEN NOT regexp_matches(name, '[\p{L}\p{N}]') THEN 'has neither a letter nor a digit'
        -- of addresses, web pages, program text, mail headers, international domains, Base64
        WHEN regexp_matches(name, '(%[0-9A-Fa-f]{2}){2}')
            OR regexp_matches(name, '&(#x?[0-9A-Fa-f]{2,6}|amp|lt|gt|quot|nbsp);')
            OR regexp_matches(name, '\\u[0-9A-Fa-f]{4}|\\x[0-9A-Fa-f]{2}')
            OR regexp_matches(name, '(?i)=\?[a-z0-9-]+\?[bq]\?')
            OR regexp_matches(name, '(?i)\bxn--[a-z0-9]')
            OR regexp_full_match(name, '[A-Za-z0-9+/]{14,}={1,2}') THEN 'is written in code'
    END AS oddity
FROM names
WHERE name IS NOT NULL
ORDER BY name
