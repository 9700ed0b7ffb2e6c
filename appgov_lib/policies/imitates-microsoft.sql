-- grain: app of somebody else x part of it (name, publisher) that reads like Microsoft's
-- source: app_inventory, stg_service_principals, name_skeletons, reference/first_party_apps.csv
WITH brand AS (
    SELECT skeleton AS word FROM name_skeletons WHERE name = 'Microsoft'
),

-- Names without a word of Microsoft's ('Dataverse', 'Storage') may be anybody's.
microsoft AS (
    SELECT s.skeleton, min(s.name) AS name
    FROM name_skeletons AS s
    INNER JOIN ref_first_party_apps AS f ON f.name = s.name
    WHERE regexp_matches(
        lower(s.name),
        'microsoft|office ?365|o365|azure|sharepoint|onedrive|outlook|exchange online|intune|skype|power ?bi'
    )
    GROUP BY s.skeleton
),

parts AS (
    SELECT
        app.*,
        part.subject,
        part.written,
        read.skeleton
    FROM app_inventory AS app
    INNER JOIN stg_service_principals AS principal
        ON app.service_principal_id = principal.service_principal_id
    CROSS JOIN LATERAL (VALUES ('', app.display_name), ('publisher', app.publisher_name)) AS part (subject, written)
    INNER JOIN name_skeletons AS read
        ON part.written = read.name
    -- Without an owner tenant it may be an old app of Microsoft's.
    WHERE app.is_in_scope AND principal.app_owner_tenant_id IS NOT NULL
),

imitations AS (
    SELECT
        parts.*,
        CASE
            WHEN parts.subject = '' THEN microsoft.name
            -- A publisher whom nobody verified may call itself anything.
            WHEN parts.publisher_verified IS FALSE
                AND parts.skeleton IN (
                    SELECT skeleton FROM name_skeletons WHERE name IN ('Microsoft', 'Microsoft Corporation')
                ) THEN 'Microsoft Corporation'
        END AS imitated,
        -- 'Microsoft' that is not spelt with the letters of 'Microsoft'
        contains(parts.skeleton, (SELECT word FROM brand))
            AND NOT contains(lower(parts.written), 'microsoft') AS is_disguised
    FROM parts
    LEFT JOIN microsoft
        ON parts.skeleton = microsoft.skeleton
)

SELECT
    service_principal_id,
    app_id,
    display_name AS app_display_name,
    subject,
    CAST(1 AS DOUBLE) AS measure,
    CAST(NULL AS DOUBLE) AS threshold,
    concat(
        'The ', CASE WHEN subject = '' THEN 'name' ELSE concat('publisher''s name, ', written, ',') END, ' reads like ',
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
ORDER BY service_principal_id, subject
