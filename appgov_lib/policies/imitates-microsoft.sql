-- grain: app of somebody else whose name reads like that of a Microsoft app
-- source: app_inventory, stg_service_principals, reference/first_party_apps.csv, reference/confusable_letters.csv
WITH alike AS (
    SELECT
        string_agg(letter, '' ORDER BY letter) AS letters,
        string_agg(looks_like, '' ORDER BY letter) AS looks
    FROM ref_confusable_letters
),

-- Names are compared as they read: look-alike letters made one, spaces, signs and invisible letters left out.
-- Names without a word of Microsoft's ('Dataverse', 'Storage') may be anybody's.
microsoft AS (
    SELECT
        regexp_replace(replace(replace(translate(
            lower(strip_accents(nfc_normalize(name))),
            (SELECT letters FROM alike), (SELECT looks FROM alike)
        ), 'rn', 'm'), 'vv', 'w'), '[\s\p{P}\p{S}\p{C}\p{M}]', '', 'g') AS folded,
        min(name) AS name
    FROM ref_first_party_apps
    WHERE regexp_matches(
        lower(name),
        'microsoft|office ?365|o365|azure|sharepoint|onedrive|outlook|exchange online|intune|skype|power ?bi'
    )
    GROUP BY folded
),

others AS (
    SELECT
        app.service_principal_id,
        app.app_id,
        app.display_name,
        app.app_origin,
        app.publisher_name,
        app.publisher_verified,
        app.privilege_level,
        app.created_at,
        app.reply_urls,
        regexp_replace(replace(replace(translate(
            lower(strip_accents(nfc_normalize(app.display_name))),
            (SELECT letters FROM alike), (SELECT looks FROM alike)
        ), 'rn', 'm'), 'vv', 'w'), '[\s\p{P}\p{S}\p{C}\p{M}]', '', 'g') AS folded
    FROM app_inventory AS app
    INNER JOIN stg_service_principals AS principal
        ON app.service_principal_id = principal.service_principal_id
    -- Without an owner tenant it may be an old app of Microsoft's.
    WHERE app.is_in_scope AND principal.app_owner_tenant_id IS NOT NULL
),

imitations AS (
    SELECT
        others.*,
        microsoft.name AS imitated,
        -- 'Microsoft' that is not spelt with the letters of 'Microsoft'
        contains(others.folded, (SELECT replace(replace(translate(
            lower(strip_accents(nfc_normalize('microsoft'))),
            (SELECT letters FROM alike), (SELECT looks FROM alike)
        ), 'rn', 'm'), 'vv', 'w')))
            AND NOT regexp_matches(lower(others.display_name), 'microsoft') AS is_disguised
    FROM others
    LEFT JOIN microsoft
        ON others.folded = microsoft.folded
)

SELECT
    service_principal_id,
    app_id,
    display_name AS app_display_name,
    '' AS subject,
    CAST(1 AS DOUBLE) AS measure,
    CAST(NULL AS DOUBLE) AS threshold,
    concat(
        'The name reads like ',
        CASE WHEN imitated IS NULL THEN '"Microsoft" in other letters' ELSE concat('"', imitated, '"') END,
        ', but the app belongs to ', CASE app_origin WHEN 'internal' THEN 'this tenant' ELSE 'another tenant' END,
        ', not to Microsoft.'
    ) AS reason,
    json_object(
        'imitated', imitated, 'publisher_name', publisher_name, 'publisher_verified', publisher_verified,
        'app_origin', app_origin, 'privilege_level', privilege_level, 'created_at', created_at, 'reply_urls', reply_urls
    ) AS evidence
FROM imitations
WHERE imitated IS NOT NULL OR is_disguised
ORDER BY service_principal_id
