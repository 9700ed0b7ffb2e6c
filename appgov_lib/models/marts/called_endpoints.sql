-- grain: method x endpoint x kind of call, over the 30 days that end with $as_of
-- source: api_calls_daily; reference/endpoint_permissions.csv
-- Only what was called is matched: each endpoint is cut into its prefixes, which meet the rules by equality.
-- A rule without /** beats one with it, the longer prefix the shorter.
WITH spelled AS (
    SELECT
        upper(method) AS method,
        lower(permission_type) AS permission_type,
        endpoint_key(regexp_replace(endpoint, '/\*\*$', '')) AS prefix,
        ends_with(endpoint, '/**') AS covers_below,
        min(endpoint) AS rule,
        -- two rules may be one in the common spelling: all that either allows may serve the call
        flatten(list(
            list_filter(string_split(coalesce(permissions, ''), ' '), lambda p: p <> '') ORDER BY endpoint
        )) AS permissions
    FROM ref_endpoint_permissions
    GROUP BY ALL
),

rules AS (
    SELECT
        * EXCLUDE (permissions),
        -- each name once, in the order of the map
        list_filter(permissions, lambda p, i: list_position(permissions, p) = i) AS permissions
    FROM spelled
),

called AS (
    SELECT DISTINCT method, endpoint, is_app_only
    FROM api_calls_daily
    WHERE day BETWEEN CAST($as_of AS DATE) - 29 AND CAST($as_of AS DATE)
        AND method IS NOT NULL
        AND endpoint IS NOT NULL
),

kinds AS (
    SELECT DISTINCT
        c.method,
        -- HEAD asks for what GET asks for
        CASE WHEN c.method = 'HEAD' THEN 'GET' ELSE c.method END AS rule_method,
        c.endpoint,
        k.permission_type
    FROM called AS c
    INNER JOIN (
        SELECT 'application' AS permission_type, true AS is_app_only
        UNION ALL
        SELECT 'delegated' AS permission_type, false AS is_app_only
    ) AS k ON coalesce(c.is_app_only, k.is_app_only) = k.is_app_only
),

cut AS (
    SELECT DISTINCT
        endpoint,
        string_split(endpoint_key(endpoint), '/') AS segments
    FROM called
),

prefixes AS (
    SELECT
        endpoint,
        n = len(segments) AS is_whole,
        array_to_string(segments[1:n], '/') AS prefix
    FROM (SELECT *, unnest(range(2, len(segments) + 1)) AS n FROM cut)
),

matched AS (
    SELECT
        k.method,
        k.endpoint,
        k.permission_type,
        r.rule,
        NOT r.covers_below AS is_exact,
        r.permissions
    FROM kinds AS k
    INNER JOIN prefixes AS p ON p.endpoint = k.endpoint
    INNER JOIN rules AS r
        ON r.method = k.rule_method AND r.permission_type = k.permission_type AND r.prefix = p.prefix
    WHERE p.is_whole OR r.covers_below
    QUALIFY row_number() OVER (
        PARTITION BY k.method, k.endpoint, k.permission_type
        ORDER BY r.covers_below, len(r.prefix) DESC
    ) = 1
)

SELECT
    k.method,
    k.endpoint,
    k.permission_type,
    m.rule,
    m.permissions,
    coalesce(m.is_exact, false) AS is_exact,
    -- what belongs to the signed-in user: rights that stop there are enough
    regexp_matches(k.endpoint, '^/me(/|$)', 'i') AS is_own,
    CASE WHEN m.rule IS NOT NULL THEN dense_rank() OVER (
        ORDER BY k.permission_type, m.permissions, is_exact, is_own
    ) END AS set_id
FROM kinds AS k
LEFT JOIN matched AS m
    ON m.method = k.method AND m.endpoint = k.endpoint AND m.permission_type = k.permission_type
ORDER BY k.endpoint, k.method, k.permission_type
