-- grain: reply address x check that says something about it
-- source: hygiene_objects, reference/reclaimable_hosts.csv
WITH addresses AS (
    SELECT object_id, unnest(reply_urls) AS url
    FROM hygiene_objects
    WHERE is_in_scope
),

parsed AS (
    SELECT
        object_id,
        url,
        lower(regexp_extract(url, '^\s*([A-Za-z][A-Za-z0-9+.-]*):', 1)) AS scheme,
        -- without user part and port; an IPv6 address keeps its brackets; browsers take a backslash for a slash
        rtrim(lower(regexp_extract(
            url, '^\s*[A-Za-z][A-Za-z0-9+.-]*:[/\\]{2}(?:[^/\\?#@]*@)?(\[[^\]]*\]|[^/\\:?#]*)', 1
        )), '.') AS host
    FROM addresses
),

judged AS MATERIALIZED (
    SELECT
        *,
        host = 'localhost' OR ends_with(host, '.localhost') OR regexp_matches(host, '^127\.')
            OR host = '[::1]' AS is_local,
        regexp_full_match(host, '\d{1,3}(\.\d{1,3}){3}|\[.*\]') AS is_ip
    FROM parsed
),

-- A handful of hosts stands in many addresses: each is looked up once.
reclaimable AS (
    SELECT h.host, min(r.name) AS name
    FROM (SELECT DISTINCT host FROM judged WHERE host <> '') AS h
    INNER JOIN ref_reclaimable_hosts AS r ON ends_with(h.host, '.' || r.suffix)
    GROUP BY h.host
),

hits AS (
    SELECT object_id, 'reply_url_http' AS check_id, url, 'sent without encryption' AS detail
    FROM judged
    WHERE scheme = 'http' AND NOT is_local
    UNION ALL
    SELECT object_id, 'reply_url_wildcard', url, 'a pattern, not an address'
    FROM judged
    WHERE contains(url, '*')
    UNION ALL
    SELECT object_id, 'reply_url_localhost', url, 'the machine of whoever signs in'
    FROM judged
    WHERE is_local
    UNION ALL
    SELECT object_id, 'reply_url_ip', url, 'an address without a name'
    FROM judged
    WHERE is_ip AND NOT is_local
    UNION ALL
    -- urn:ietf:wg:oauth:2.0:oob shows the code on the page, no program is called
    SELECT object_id, 'reply_url_custom_scheme', url,
        CASE scheme WHEN '' THEN 'no scheme' ELSE 'scheme ' || scheme END
    FROM judged
    WHERE scheme NOT IN ('http', 'https', 'urn')
    UNION ALL
    SELECT j.object_id, 'reply_url_reclaimable_host', j.url, r.name || ' name: check that it is still yours'
    FROM judged AS j
    INNER JOIN reclaimable AS r ON r.host = j.host
)

SELECT
    object_id,
    check_id,
    'yes' AS verdict,
    url AS subject,
    CAST(NULL AS DOUBLE) AS measure,
    CAST(0 AS DOUBLE) AS weight,
    detail,
    CAST(NULL AS VARCHAR) AS reason
FROM hits
ORDER BY object_id, check_id, subject
