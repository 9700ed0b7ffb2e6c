-- grain: federated credential x check that says something about it
-- source: stg_federated_credentials, hygiene_objects, stg_organization, reference/federated_issuers.csv
-- Issuers compare letter by letter when a token is exchanged, so a host is looked up as it is written.
WITH trusted AS (
    SELECT
        o.object_id,
        f.federated_credential_id,
        f.issuer,
        f.subject,
        f.claims_expression,
        regexp_extract(f.issuer, '^https://([^/?#]*)', 1) AS host,
        regexp_extract(f.issuer, '^https://[^/?#]*/([^/?#]*)', 1) AS first_segment
    FROM stg_federated_credentials AS f
    INNER JOIN hygiene_objects AS o ON o.application_id = f.parent_id
),

named AS (
    SELECT
        t.*,
        i.name AS issuer_name,
        i.path_names_tenant = 'true' AS path_names_tenant,
        lower(t.first_segment) = g.tenant_id AS is_own_tenant
    FROM trusted AS t
    LEFT JOIN (SELECT min(tenant_id) AS tenant_id FROM stg_organization) AS g ON true
    LEFT JOIN ref_federated_issuers AS i ON t.host = i.host OR ends_with(t.host, '.' || i.host)
),

judged AS (
    SELECT
        *,
        CASE
            WHEN claims_expression IS NOT NULL AND contains(claims_expression, '*') THEN 'expression with a wildcard'
            WHEN subject IS NULL AND claims_expression IS NULL THEN 'neither subject nor expression'
            WHEN contains(subject, '*') THEN 'subject with a wildcard'
            -- a pull request, or a repository as such, is whatever somebody proposes
            WHEN issuer_name = 'GitHub Actions' AND subject IS NOT NULL
                AND NOT regexp_full_match(subject, 'repo:[^/:]+/[^/:]+:(ref:refs/(heads|tags)/.+|environment:.+)')
                THEN 'GitHub subject without branch, tag or environment'
            WHEN issuer_name = 'GitLab' AND subject IS NOT NULL
                AND NOT regexp_full_match(subject, 'project_path:[^:]+:ref_type:(branch|tag):ref:.+')
                THEN 'GitLab subject without branch or tag'
        END AS wide,
        CASE
            WHEN issuer IS NULL THEN 'no issuer'
            WHEN host = '' THEN 'issuer without https'
            WHEN issuer_name IS NULL THEN 'issuer that is not on our list'
            WHEN path_names_tenant AND NOT is_own_tenant THEN 'another tenant'
        END AS foreign_issuer
    FROM named
)

SELECT object_id, 'wide_federated_subject' AS check_id, 'yes' AS verdict, federated_credential_id AS subject,
    CAST(NULL AS DOUBLE) AS measure, CAST(0 AS DOUBLE) AS weight,
    wide || ': ' || coalesce(subject, claims_expression, 'nothing') || ' of ' || coalesce(issuer, 'no issuer')
        AS detail,
    CAST(NULL AS VARCHAR) AS reason
FROM judged
WHERE wide IS NOT NULL
UNION ALL
SELECT object_id, 'foreign_federated_issuer', 'yes', federated_credential_id, NULL, 0,
    foreign_issuer || ': ' || coalesce(issuer, 'nothing'), NULL
FROM judged
WHERE foreign_issuer IS NOT NULL
UNION ALL
SELECT object_id, 'foreign_federated_issuer', 'unknown', federated_credential_id, NULL, 0, issuer,
    'the id of this tenant was not read'
FROM judged
WHERE foreign_issuer IS NULL AND path_names_tenant AND is_own_tenant IS NULL
ORDER BY object_id, check_id, subject
