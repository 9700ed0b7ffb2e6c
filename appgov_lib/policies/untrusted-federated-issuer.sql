-- grain: app that trusts tokens of an issuer nobody vouches for
-- source: app_hygiene, app_inventory
SELECT
    app.service_principal_id,
    app.app_id,
    app.display_name AS app_display_name,
    coalesce(hygiene.subject, '') AS subject,
    CAST(hygiene.hits AS DOUBLE) AS measure,
    CAST($min_credentials AS DOUBLE) AS threshold,
    concat(
        'Whoever controls the issuer of a federated credential can sign in as the app: ', hygiene.detail,
        CASE WHEN hygiene.hits > 1 THEN concat(' (and ', hygiene.hits - 1, ' more)') ELSE '' END, '.'
    ) AS reason,
    json_object(
        'federated_credential_id', hygiene.subject, 'detail', hygiene.detail, 'credentials', hygiene.hits,
        'application_id', app.application_id, 'privilege_level', app.privilege_level
    ) AS evidence
FROM app_hygiene AS hygiene
INNER JOIN app_inventory AS app
    ON hygiene.service_principal_id = app.service_principal_id
WHERE
    hygiene.check_id = 'foreign_federated_issuer'
    AND hygiene.verdict = 'yes'
    AND hygiene.hits >= $min_credentials
    AND app.is_in_scope
ORDER BY app.service_principal_id
