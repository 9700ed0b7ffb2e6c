-- grain: federated identity credential
-- source: Graph /applications/{id}/federatedIdentityCredentials of every registration that has one
SELECT
    guid(record ->> '$.id') AS federated_credential_id,
    guid(parent_id) AS parent_id,
    filled(record ->> '$.name') AS name,
    -- issuer and subject are compared letter by letter when a token is exchanged: never folded
    filled(record ->> '$.issuer') AS issuer,
    filled(record ->> '$.subject') AS subject,
    -- flexible credentials match an expression instead of one subject (beta)
    filled(record ->> '$.claimsMatchingExpression.value') AS claims_expression,
    texts(record -> '$.audiences') AS audiences,
    filled(record ->> '$.description') AS description
FROM read_json($federated_credentials,
    format = 'newline_delimited', records = true, ignore_errors = true, columns = {
    parent_id: 'VARCHAR',
    record: 'JSON'
})
WHERE guid(record ->> '$.id') IS NOT NULL AND guid(parent_id) IS NOT NULL
QUALIFY row_number() OVER (
    PARTITION BY guid(parent_id), guid(record ->> '$.id')
    ORDER BY name IS NULL, name, issuer, subject, CAST(record AS VARCHAR)
) = 1
ORDER BY parent_id, federated_credential_id
