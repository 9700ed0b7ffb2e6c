-- grain: domain of an app x domain it may be taken for
-- source: app_domains, stg_organization, reference/brand_domains.csv
WITH own AS (
    SELECT DISTINCT unnest(verified_domains) AS domain FROM stg_organization
),

watched AS (
    -- a word of the language is a letter away from other words ('dynamic')
    SELECT domain, 'Microsoft' AS owner, is_word = 'true' AS is_word FROM ref_brand_domains
    UNION
    SELECT domain, 'this tenant', false FROM own
),

labelled AS (
    SELECT
        domain AS imitated,
        owner,
        is_word,
        coalesce(
            nullif(regexp_extract(
                domain, '([^.]+)\.(?:(?:com?|org|net|gov|ac|edu|ne|or|go|gob|ltd|plc)\.[a-z]{2}|onmicrosoft\.com)$', 1
            ), ''),
            regexp_extract(domain, '([^.]+)\.[^.]+$', 1)
        ) AS label
    FROM watched
),

labels AS MATERIALIZED (
    SELECT *, name_skeleton(label) AS skeleton FROM labelled
),

-- A label that is spelt as it should be is not misspelt, under whichever suffix.
strangers AS (
    SELECT DISTINCT domain, label, skeleton, is_shared_host
    FROM app_domains
    WHERE
        label NOT IN (SELECT label FROM labels)
        AND host NOT IN (SELECT domain FROM own)
        AND NOT EXISTS (SELECT 1 FROM own WHERE ends_with(app_domains.host, '.' || own.domain))
)

SELECT
    s.domain,
    l.imitated,
    l.owner,
    s.skeleton = l.skeleton AS reads_alike,
    damerau_levenshtein(s.label, l.label) AS distance,
    length(l.label) AS letters
FROM strangers AS s
INNER JOIN labels AS l
    ON s.skeleton = l.skeleton
        -- under a suffix where anybody takes names, many are close to one's own
        OR (
            NOT s.is_shared_host AND NOT l.is_word
            AND abs(length(s.label) - length(l.label)) <= 3
            AND damerau_levenshtein(s.label, l.label) <= 3
        )
QUALIFY row_number() OVER (PARTITION BY s.domain, l.imitated ORDER BY l.owner DESC) = 1
ORDER BY s.domain, l.imitated
