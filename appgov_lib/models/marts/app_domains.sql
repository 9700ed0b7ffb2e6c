-- grain: app that is not Microsoft's x place x host
-- source: app_inventory, stg_service_principals, reference/reclaimable_hosts.csv; read by readable_domain,
-- name_skeleton and disguised_word (appgov_lib/lookalikes.py)
WITH addresses AS (
    SELECT service_principal_id, 'reply address' AS place, unnest(reply_urls) AS address
    FROM app_inventory
    WHERE is_in_scope
    UNION ALL
    SELECT s.service_principal_id, 'home page', s.homepage
    FROM stg_service_principals AS s
    INNER JOIN app_inventory AS i ON i.service_principal_id = s.service_principal_id
    WHERE i.is_in_scope
    UNION ALL
    SELECT service_principal_id, 'publisher domain', 'https://' || publisher_domain
    FROM app_inventory
    WHERE is_in_scope
),

hosts AS (
    SELECT
        service_principal_id,
        place,
        address,
        -- without user part and port; browsers take a backslash for a slash, and a program's own scheme has no host
        rtrim(lower(regexp_extract(
            address, '^\s*https?:[/\\]{2}(?:[^/\\?#@]*@)?(?:\*\.)?([^/\\:?#]*)', 1, 'i'
        )), '.') AS host
    FROM addresses
),

-- Who registered a name: the label above the suffix. Under some suffixes anybody may take a name.
split AS MATERIALIZED (
    SELECT
        host,
        max(r.suffix) AS shared_suffix,
        coalesce(
            max_by(r.suffix, length(r.suffix)),
            nullif(regexp_extract(host, '\.((?:com?|org|net|gov|ac|edu|ne|or|go|gob|ltd|plc)\.[a-z]{2})$', 1), ''),
            regexp_extract(host, '\.([^.]+)$', 1)
        ) AS suffix
    FROM (SELECT DISTINCT host FROM hosts) AS h
    LEFT JOIN (
        SELECT suffix FROM ref_reclaimable_hosts UNION ALL SELECT 'onmicrosoft.com'
    ) AS r ON ends_with(h.host, '.' || r.suffix)
    WHERE contains(host, '.') AND NOT regexp_matches(host, '^[0-9.]+$|\[|[.]localhost$')
    GROUP BY host
),

labelled AS (
    SELECT *, regexp_extract(left(host, length(host) - length(suffix) - 1), '([^.]+)$', 1) AS written FROM split
),

-- Each label is read once, however many hosts it has.
labels AS MATERIALIZED (
    SELECT
        written,
        label,
        name_skeleton(label) AS skeleton,
        nullif(disguised_word(label), '') AS disguised_word
    FROM (
        SELECT written, CASE WHEN starts_with(written, 'xn--') THEN readable_domain(written) ELSE written END AS label
        FROM (SELECT DISTINCT written FROM labelled)
    )
)

SELECT
    h.service_principal_id,
    h.place,
    h.host,
    l.label || '.' || r.suffix AS domain,
    l.label,
    regexp_extract(r.suffix, '([^.]+)$', 1) AS top_level_domain,
    r.shared_suffix IS NOT NULL AS is_shared_host,
    l.skeleton,
    l.disguised_word,
    count(DISTINCT h.address) AS addresses,
    min(h.address) AS example
FROM hosts AS h
INNER JOIN labelled AS r ON r.host = h.host
INNER JOIN labels AS l ON l.written = r.written
GROUP BY ALL
ORDER BY h.service_principal_id, h.place, h.host
