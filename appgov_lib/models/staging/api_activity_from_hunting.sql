-- grain: record as received (duplicates included)
-- source: advanced hunting, table GraphApiAuditEvents (runHuntingQuery rows and portal CSV)
-- The record is read as JSON because IPAddress occurs in two capitalisations, which named columns cannot hold.
WITH parsed AS (
    SELECT
        json,
        -- one pass over the record; anything that is not of its type becomes NULL
        from_json(json, '{
            "RequestId": "VARCHAR", "Timestamp": "VARCHAR", "ApplicationId": "VARCHAR", "ServicePrincipalId": "VARCHAR",
            "AccountObjectId": "VARCHAR", "EntityType": "VARCHAR", "RequestMethod": "VARCHAR", "RequestUri": "VARCHAR",
            "ApiVersion": "VARCHAR", "ResponseStatusCode": "VARCHAR", "ResponseSize": "VARCHAR",
            "RequestDuration": "VARCHAR", "IPAddress": "VARCHAR", "UserAgent": "VARCHAR", "OperationId": "VARCHAR",
            "UniqueTokenIdentifier": "VARCHAR", "UniqueTokenId": "VARCHAR", "Scopes": "VARCHAR",
            "TargetWorkload": "VARCHAR"
        }') AS r
    FROM read_ndjson_objects($api_activity_hunting, ignore_errors = true)
),

records AS (
    SELECT
        json,
        r,
        coalesce(
            to_utc(r.Timestamp),
            TRY_STRPTIME(replace(r.Timestamp, chr(8239), ' '), [
                '%b %-d, %Y %-I:%M:%S %p',
                '%b %-d, %Y %-I:%M:%S.%g %p',
                '%-m/%-d/%Y, %-I:%M:%S %p',
                '%-m/%-d/%Y, %-I:%M:%S.%g %p'
            ])
        ) AS called_at,
        TRY_CAST(r.ResponseSize AS BIGINT) AS response_size
    FROM parsed
)

SELECT
    coalesce(guid(r.RequestId), md5(coalesce(CAST(json AS VARCHAR), ''))) AS request_id,
    called_at,
    guid(r.ApplicationId) AS app_id,
    guid(r.ServicePrincipalId) AS service_principal_id,
    guid(r.AccountObjectId) AS user_id,
    filled(upper(r.RequestMethod)) AS method,
    filled(r.RequestUri) AS uri,
    filled(r.ApiVersion) AS api_version,
    TRY_CAST(r.ResponseStatusCode AS INTEGER) AS status,
    -- a size below zero means that none was measured
    CASE WHEN response_size >= 0 THEN response_size END AS bytes_returned,
    TRY_CAST(r.RequestDuration AS BIGINT) AS duration_ms,
    filled(coalesce(r.IPAddress, json ->> '$.IpAddress')) AS ip_address,
    filled(r.UserAgent) AS user_agent,
    guid(r.OperationId) AS operation_id,
    filled(coalesce(r.UniqueTokenIdentifier, r.UniqueTokenId)) AS token_id,
    CASE
        WHEN lower(r.EntityType) = 'user' OR guid(r.AccountObjectId) IS NOT NULL THEN false
        WHEN lower(r.EntityType) IN ('app', 'application', 'serviceprincipal') THEN true
        WHEN guid(r.ServicePrincipalId) IS NOT NULL THEN true
    END AS is_app_only,
    filled(r.Scopes) AS permissions,
    filled(r.TargetWorkload) AS workload,
    'hunting' AS shape
FROM records
