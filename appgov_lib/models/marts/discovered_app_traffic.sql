-- grain: app seen in traffic that firewalls and endpoints reported to Defender for Cloud Apps
-- source: stg_cloud_discovery_apps, stg_service_principals
-- Several reports may have seen the same traffic: the one with most transactions speaks, sums would count it twice.
WITH fullest AS (
    SELECT
        *,
        count(*) OVER (PARTITION BY discovered_app_id) AS reports
    FROM stg_cloud_discovery_apps
    QUALIFY row_number() OVER (
        PARTITION BY discovered_app_id
        ORDER BY transactions DESC NULLS LAST, downloaded_bytes DESC NULLS LAST, parent_id
    ) = 1
),

named AS (
    SELECT lower(display_name) AS name, list_sort(list(app_id)) AS app_ids
    FROM stg_service_principals
    WHERE display_name IS NOT NULL AND app_id IS NOT NULL
    GROUP BY ALL
)

SELECT
    f.discovered_app_id,
    f.display_name,
    f.category,
    f.risk_score,
    f.uploaded_bytes,
    f.downloaded_bytes,
    f.transactions,
    f.users,
    f.ip_addresses,
    f.reports,
    f.first_seen_at,
    f.last_seen_at,
    -- of the same name; nothing else ties a web address to an app registration
    coalesce(n.app_ids, CAST([] AS VARCHAR[])) AS same_name_app_ids
FROM fullest AS f
LEFT JOIN named AS n ON n.name = lower(f.display_name)
ORDER BY f.discovered_app_id
