-- grain: app that got a reply address under a domain nobody knows
-- source: app_setting_changes, app_inventory, stg_organization, reference/reclaimable_hosts.csv
WITH added AS (
    SELECT
        service_principal_id,
        value AS address,
        changed_at,
        actor_id,
        actor_name,
        -- without user part and port; browsers take a backslash for a slash
        rtrim(lower(regexp_extract(
            value, '^\s*https?:[/\\]{2}(?:[^/\\?#@]*@)?(\[[^\]]*\]|[^/\\:?#]*)', 1, 'i'
        )), '.') AS host
    FROM app_setting_changes
    WHERE
        property = 'reply address'
        AND change = 'added'
        AND changed_at >= CAST($as_of AS DATE) + 1 - $days
        AND changed_at < CAST($as_of AS DATE) + 1
),

-- The domain above a host, unless anybody can take a name under it ('azurewebsites.net', 'co.uk').
hosts AS (
    SELECT
        host,
        CASE
            WHEN parent IN (SELECT suffix FROM ref_reclaimable_hosts) THEN host
            WHEN regexp_matches(parent, '^[^.]{4,}\.') THEN parent
            ELSE host
        END AS site
    FROM (
        SELECT DISTINCT host, regexp_extract(host, '^[^.]+\.(.+)$', 1) AS parent
        FROM added
        WHERE host <> 'localhost' AND NOT regexp_matches(host, '^127\.|^\[::1\]$|^$')
    )
),

verified AS (
    SELECT DISTINCT h.host
    FROM hosts AS h
    INNER JOIN (SELECT unnest(verified_domains) AS domain FROM stg_organization) AS v
        ON h.host = v.domain OR ends_with(h.host, '.' || v.domain)
),

-- Addresses that stood there before: of the same app, or of any other.
known AS (
    SELECT DISTINCT h.host, k.service_principal_id
    FROM hosts AS h
    INNER JOIN (
        SELECT
            service_principal_id,
            address,
            lower(regexp_extract(address, '^\s*https?://(?:[^/?#@]*@)?([^/:?#]*)', 1, 'i')) AS host
        FROM (SELECT service_principal_id, unnest(reply_urls) AS address FROM app_inventory)
    ) AS k
        ON h.site = k.host OR ends_with(k.host, '.' || h.site)
    LEFT JOIN added AS a
        ON k.service_principal_id = a.service_principal_id AND k.address = a.address
    WHERE a.address IS NULL
),

unknown AS (
    SELECT a.*
    FROM added AS a
    INNER JOIN hosts AS h ON a.host = h.host
    WHERE
        a.host NOT IN (SELECT host FROM verified)
        AND a.host NOT IN (SELECT host FROM known)
)

SELECT
    app.service_principal_id,
    app.app_id,
    app.display_name AS app_display_name,
    unknown.host AS subject,
    CAST(count(*) AS DOUBLE) AS measure,
    CAST(1 AS DOUBLE) AS threshold,
    concat(
        'On ', strftime(min(changed_at), '%Y-%m-%d'), ' the app got the reply address ', min(address),
        CASE WHEN max(actor_name) IS NULL THEN '' ELSE ' from ' || max(actor_name) END,
        '. ', unknown.host,
        ' is neither under a verified domain of this tenant nor under a domain that its apps used before.'
    ) AS reason,
    json_object(
        'addresses', list(address ORDER BY address), 'changed_at', min(changed_at), 'actor_id', max(actor_id),
        'actor_name', max(actor_name), 'privilege_level', app.privilege_level, 'app_origin', app.app_origin
    ) AS evidence
FROM unknown
INNER JOIN app_inventory AS app
    ON unknown.service_principal_id = app.service_principal_id
WHERE app.is_in_scope
GROUP BY app.service_principal_id, app.app_id, app.display_name, unknown.host, app.privilege_level, app.app_origin
ORDER BY app.service_principal_id, subject
