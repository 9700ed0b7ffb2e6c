-- grain: app (service principal, or registration without one) x check that applies to it
-- source: hygiene_objects, reference/hygiene_checks.csv, coverage, and what the hygiene_* tables found
-- 'no' is said only where it is proven or every source the check needs was read to its end. What was found stays found,
-- unless the check rests on the absence of something that an unread source may hold.
WITH found AS (
    SELECT * FROM hygiene_use
    UNION ALL BY NAME
    SELECT * FROM hygiene_credentials
    UNION ALL BY NAME
    SELECT * FROM hygiene_federated
    UNION ALL BY NAME
    SELECT * FROM hygiene_owners
    UNION ALL BY NAME
    SELECT * FROM hygiene_reply_urls
    UNION ALL BY NAME
    SELECT * FROM hygiene_settings
),

-- Nearly every object has one row for a check, so only the others are ranked.
repeated AS (
    SELECT hash(object_id, check_id) AS mark FROM found GROUP BY mark HAVING count(*) > 1
),

-- The worst of its kind stands for the others: a finding before a doubt, a doubt before a no.
worst AS (
    SELECT *, CAST(verdict = 'yes' AS BIGINT) AS hits
    FROM found
    WHERE hash(object_id, check_id) NOT IN (SELECT mark FROM repeated)
    UNION ALL
    SELECT
        *,
        count(*) FILTER (verdict = 'yes') OVER (PARTITION BY object_id, check_id) AS hits
    FROM found
    WHERE hash(object_id, check_id) IN (SELECT mark FROM repeated)
    QUALIFY row_number() OVER (
        PARTITION BY object_id, check_id
        -- 'yes', 'unknown', 'no'
        ORDER BY verdict DESC, weight DESC NULLS LAST, subject, detail
    ) = 1
),

needed AS (
    SELECT check_id, false AS only_own, unnest(string_split(needs, ' ')) AS source
    FROM ref_hygiene_checks
    UNION ALL
    SELECT check_id, true, unnest(string_split(needs_own, ' '))
    FROM ref_hygiene_checks
    WHERE needs_own <> ''
),

-- Sources a check needs that were not read to their end.
gaps AS (
    SELECT
        n.check_id,
        string_agg(n.source || ' (' || coalesce(c.status, 'not_collected') || ')', ', ' ORDER BY n.source) AS own_gap,
        string_agg(n.source || ' (' || coalesce(c.status, 'not_collected') || ')', ', ' ORDER BY n.source)
            FILTER (NOT n.only_own) AS gap
    FROM needed AS n
    LEFT JOIN (SELECT source, min(status) AS status FROM coverage GROUP BY source) AS c ON c.source = n.source
    WHERE coalesce(c.status, 'not_collected') <> 'complete'
    GROUP BY n.check_id
),

-- One row per kind of app, to join by equality: a join on list_contains() would try every pair.
kinds AS (
    SELECT object_id, service_principal_id, app_id, application_id, is_in_scope, is_own, unnest(kinds) AS kind
    FROM hygiene_objects
),

judged AS (
    SELECT
        o.object_id,
        o.service_principal_id,
        o.app_id,
        o.application_id,
        o.is_in_scope,
        r.check_id,
        w.subject,
        w.measure,
        w.detail,
        w.hits,
        w.reason AS doubt,
        CASE WHEN o.is_own THEN g.own_gap ELSE g.gap END AS gap,
        w.verdict = 'yes' AS is_found,
        coalesce(w.verdict = 'no', false) AS is_refuted,
        r.rests_on_absence = 'true' AS rests_on_absence
    FROM kinds AS o
    INNER JOIN ref_hygiene_checks AS r ON r.applies_to = o.kind
    LEFT JOIN gaps AS g ON g.check_id = r.check_id
    LEFT JOIN worst AS w ON w.object_id = o.object_id AND w.check_id = r.check_id
)

SELECT
    object_id,
    service_principal_id,
    app_id,
    application_id,
    is_in_scope,
    check_id,
    CASE
        WHEN is_refuted THEN 'no'
        WHEN is_found AND NOT (rests_on_absence AND gap IS NOT NULL) THEN 'yes'
        WHEN is_found IS NOT NULL OR gap IS NOT NULL THEN 'unknown'
        ELSE 'no'
    END AS verdict,
    nullif(subject, '') AS subject,
    measure,
    detail,
    nullif(hits, 0) AS hits,
    CASE
        WHEN is_refuted THEN NULL
        WHEN is_found AND NOT rests_on_absence THEN NULL
        WHEN gap IS NOT NULL THEN 'not fully read: ' || gap
        ELSE doubt
    END AS reason
FROM judged
-- an object's rows side by side: its four ids repeat, and take a fifth of the space and half the time to store
ORDER BY object_id, check_id
