-- grain: API request
-- source: every api_activity_from_* shape; one row per id; families from reference/endpoint_families.csv
WITH records AS (
    SELECT 1 AS preference, * FROM api_activity_from_diagnostic
    UNION ALL BY NAME
    SELECT 2 AS preference, * FROM api_activity_from_log_analytics
    UNION ALL BY NAME
    SELECT 3 AS preference, * FROM api_activity_from_hunting
),

ranked AS (
    SELECT
        *,
        count(*) OVER (PARTITION BY request_id) AS copies,
        row_number() OVER (
            PARTITION BY request_id
            ORDER BY preference, bytes_returned IS NULL, called_at, app_id, uri, status, bytes_returned
        ) AS choice
    FROM records
),

requests AS (
    SELECT
        * EXCLUDE (preference, choice),
        -- scheme and host, query and fragment, double slashes and the version go
        '/' || ltrim(regexp_replace(
            regexp_replace(
                regexp_replace(uri, '^[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*|[?#].*$', '', 'g'),
                '/{2,}', '/', 'g'
            ),
            '^/*(v1\.0|beta)(/|$)', '/', 'i'
        ), '/') AS path
    FROM ranked
    WHERE choice = 1
),

-- Same path, same shape: the costly part runs once per distinct path.
paths AS (
    SELECT DISTINCT path
    FROM requests
    WHERE path IS NOT NULL
),

-- Keys and arguments: users('x') is users/{id}, f(period='D7') is f({id}); a path inside a drive or a site
-- address (root:/a/b:/content) is one id.
opened AS (
    SELECT
        path,
        regexp_replace(
            regexp_replace(
                regexp_replace(path, '\(''(?:[^'']|'''')*''\)', '/{id}', 'g'),
                '\((?:''(?:[^'']|'''')*''|[^()''])+\)', '({id})', 'g'
            ),
            ':/[^:]+(:|$)', ':/{id}\1', 'g'
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
                WHEN regexp_matches(s, '^[0-9]+$|[@%=!,~+: ]|[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-') THEN '{id}'
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
    r.*,
    e.endpoint,
    coalesce(f.service, 'Other') AS service,
    coalesce(f.resource_type, 'other') AS resource_type,
    CASE
        WHEN r.method IN ('GET', 'HEAD', 'OPTIONS') THEN 'read'
        -- POST is how some questions are asked: searches, exports and look-ups change nothing
        WHEN r.method = 'POST' AND regexp_matches(
            e.endpoint,
            '(?i)/(query|search|getByIds|getSchedule|findMeetingTimes|runHuntingQuery|validateProperties|'
            || 'checkMemberGroups|checkMemberObjects|getMemberGroups|getMemberObjects)$'
        ) THEN 'read'
        WHEN r.method IS NOT NULL THEN 'write'
    END AS access,
    coalesce(lower(r.path) = '/$batch', false) AS is_batch_envelope
FROM requests AS r
LEFT JOIN endpoints AS e ON e.path = r.path
LEFT JOIN families AS f ON f.endpoint = e.endpoint
ORDER BY r.called_at, r.request_id
