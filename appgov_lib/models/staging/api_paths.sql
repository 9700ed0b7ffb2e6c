-- grain: path that was called, ids and all
-- source: api_requests, api_sums; families from reference/endpoint_families.csv
-- Same path, same shape: the costly part runs once per distinct path.
WITH paths AS (
    SELECT path FROM api_requests WHERE path IS NOT NULL
    UNION
    SELECT path FROM api_sums WHERE path IS NOT NULL
),

-- Keys and arguments: users('x') is users/{id}, f(period='D7') is f({id}); a path inside a drive or a site
-- address (root:/a/b:/content) is one id.
opened AS (
    SELECT
        path,
        regexp_replace(
            regexp_replace(
                regexp_replace(
                    regexp_replace(path, '\(''(?:[^'']|'''')*''\)', '/{id}', 'g'),
                    '\((?:''(?:[^'']|'''')*''|[^()''])+\)', '({id})', 'g'
                ),
                ':/[^:]+(:|$)', ':/{id}\1', 'g'
            ),
            '/+', '/', 'g'
        ) AS opened_path
    FROM paths
),

endpoints AS (
    SELECT
        path,
        list_aggregate(list_transform(
            string_split(opened_path, '/'),
            lambda s: CASE
                WHEN s = '' OR starts_with(s, '$') OR s = '{id}' THEN s
                -- an address kept for the next segment: 'root:' and 'items/{id}:' stay visible
                WHEN regexp_matches(s, '^([A-Za-z]+|\{id\})?:$') THEN s
                WHEN ends_with(s, ':') THEN '{id}:'
                WHEN regexp_matches(s, '^[0-9]|[@%=!,~+: ]|[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-') THEN '{id}'
                WHEN contains(s, '(') THEN s
                -- Graph's own words start with a small letter and hold at most one run of digits (alerts_v2,
                -- getOffice365ActiveUserDetail); anything long that does not is somebody's id
                WHEN len(s) >= 16 AND NOT regexp_matches(s, '^[a-z][A-Za-z._]*[0-9]{0,3}[A-Za-z._]*$') THEN '{id}'
                ELSE s
            END
        ), 'string_agg', '/') AS endpoint
    FROM opened
),

-- The longest prefix that ends at a segment decides; /me reads as /users/{id}.
families AS (
    SELECT
        e.endpoint,
        f.service,
        f.resource_type
    FROM (
        SELECT DISTINCT
            endpoint,
            replace(regexp_replace(endpoint, '^/me(/|$)', '/users/{id}\1', 'i'), '({id})', '/{id}') || '/'
                AS family_path
        FROM endpoints
    ) AS e
    LEFT JOIN ref_endpoint_families AS f
        ON starts_with(lower(e.family_path), lower(f.prefix) || '/')
    QUALIFY row_number() OVER (
        PARTITION BY e.endpoint
        ORDER BY CAST(f.priority AS INTEGER) DESC NULLS LAST, len(f.prefix) DESC, f.prefix
    ) = 1
)

SELECT
    e.path,
    e.endpoint,
    coalesce(f.service, 'Other') AS service,
    coalesce(f.resource_type, 'other') AS resource_type,
    lower(e.path) = '/$batch' AS is_batch_envelope
FROM endpoints AS e
LEFT JOIN families AS f ON f.endpoint = e.endpoint
ORDER BY e.path
