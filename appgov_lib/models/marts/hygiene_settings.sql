-- grain: app x check that says something about it (here: settings of app and registration)
-- source: hygiene_objects, app_inventory, app_grant_summary
WITH registrations AS (
    SELECT
        object_id,
        sign_in_audience IN ('AzureADMultipleOrgs', 'AzureADandPersonalMicrosoftAccount') AS is_multi_tenant,
        coalesce(TRY_CAST(property_lock ->> '$.isEnabled' AS BOOLEAN), false) AS lock_enabled,
        coalesce(TRY_CAST(property_lock ->> '$.allProperties' AS BOOLEAN), false) AS lock_whole,
        implicit_access_tokens,
        implicit_id_tokens,
        allows_public_client
    FROM hygiene_objects
    WHERE application_id IS NOT NULL
),

holders AS (
    SELECT
        i.service_principal_id,
        i.assignment_required,
        g.application_count,
        g.delegated_count,
        g.high_privilege_count - g.high_application_count AS high_delegated_count
    FROM app_inventory AS i
    INNER JOIN app_grant_summary AS g ON g.service_principal_id = i.service_principal_id
)

SELECT service_principal_id AS object_id, 'assignment_not_required' AS check_id,
    CASE WHEN assignment_required IS NULL THEN 'unknown' ELSE 'yes' END AS verdict, '' AS subject,
    -- what an app may do by itself does not hang on who may sign in to it
    CAST(high_delegated_count AS DOUBLE) AS measure, CAST(0 AS DOUBLE) AS weight,
    'delegated permissions of high privilege: ' || high_delegated_count AS detail,
    CASE WHEN assignment_required IS NULL THEN 'whether users must be assigned is not known' END AS reason
FROM holders
WHERE assignment_required IS NOT TRUE AND high_delegated_count > 0
UNION ALL
SELECT service_principal_id, 'mixed_permission_kinds', 'yes', '', application_count + delegated_count, 0,
    'application permissions: ' || application_count || ', delegated: ' || delegated_count, NULL
FROM holders
WHERE application_count > 0 AND delegated_count > 0
UNION ALL
SELECT object_id, 'property_lock_missing', CASE WHEN is_multi_tenant IS NULL THEN 'unknown' ELSE 'yes' END, '', NULL, 0,
    CASE WHEN lock_enabled THEN 'the lock leaves some properties open' ELSE 'no lock' END,
    CASE WHEN is_multi_tenant IS NULL THEN 'whose accounts may sign in is not known' END
FROM registrations
WHERE is_multi_tenant IS NOT FALSE AND NOT (lock_enabled AND lock_whole)
UNION ALL
SELECT object_id, 'implicit_grant', 'yes', '', NULL, CASE WHEN implicit_access_tokens THEN 1 ELSE 0 END,
    concat_ws(', ', CASE WHEN implicit_access_tokens THEN 'access tokens' END,
        CASE WHEN implicit_id_tokens THEN 'id tokens' END), NULL
FROM registrations
WHERE implicit_access_tokens OR implicit_id_tokens
UNION ALL
SELECT object_id, 'public_client_allowed', 'yes', '', NULL, 0, 'isFallbackPublicClient is true', NULL
FROM registrations
WHERE allows_public_client
ORDER BY object_id, check_id
