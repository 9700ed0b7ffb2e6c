-- grain: app seen in uploaded traffic (report x app)
-- source: Graph beta /security/dataDiscovery/cloudAppDiscovery/uploadedStreams/{id}/...aggregatedAppsDetails
SELECT
    filled(record ->> '$.id') AS discovered_app_id,
    -- the same app may be seen in several reports: sums over reports count traffic twice
    filled(parent_id) AS parent_id,
    filled(record ->> '$.displayName') AS display_name,
    filled(record ->> '$.category') AS category,
    TRY_CAST(record ->> '$.riskScore' AS INTEGER) AS risk_score,
    TRY_CAST(record ->> '$.uploadNetworkTrafficInBytes' AS BIGINT) AS uploaded_bytes,
    TRY_CAST(record ->> '$.downloadNetworkTrafficInBytes' AS BIGINT) AS downloaded_bytes,
    TRY_CAST(record ->> '$.transactionCount' AS BIGINT) AS transactions,
    TRY_CAST(record ->> '$.userCount' AS BIGINT) AS users,
    TRY_CAST(record ->> '$.ipAddressCount' AS BIGINT) AS ip_addresses,
    texts(record -> '$.domains') AS domains,
    texts(record -> '$.tags') AS tags,
    to_utc(record ->> '$.firstSeenDateTime') AS first_seen_at,
    to_utc(record ->> '$.lastSeenDateTime') AS last_seen_at
FROM read_json($cloud_discovery_apps,
    format = 'newline_delimited', records = true, ignore_errors = true, columns = {
    parent_id: 'VARCHAR',
    record: 'JSON'
})
WHERE filled(record ->> '$.id') IS NOT NULL AND filled(parent_id) IS NOT NULL
QUALIFY row_number() OVER (
    PARTITION BY parent_id, record ->> '$.id'
    ORDER BY last_seen_at DESC NULLS LAST, transactions DESC NULLS LAST, CAST(record AS VARCHAR)
) = 1
ORDER BY parent_id, discovered_app_id
