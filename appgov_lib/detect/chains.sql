-- grain: chain of related findings, of an app or of an actor across apps
-- source: chain_findings, chain_steps
-- The story is the steps in their order, in words; at most $told of them, for reading.
WITH heads AS (
    SELECT
        chain_id,
        about,
        CASE WHEN about = 'app' THEN max(service_principal_id) END AS service_principal_id,
        CASE WHEN about = 'app' THEN max(app_id) END AS app_id,
        CASE WHEN about = 'app' THEN max(display_name) ELSE max(who) END AS name,
        arg_max(severity, weight) AS severity,
        max(weight) AS weight,
        count(*) AS findings,
        count(DISTINCT service_principal_id) AS apps,
        coalesce(list_sort(list(DISTINCT who) FILTER (who IS NOT NULL)), []) AS actors,
        list(finding_id ORDER BY weight DESC, moment, finding_id) AS finding_ids
    FROM chain_findings
    GROUP BY chain_id, about
),

stories AS (
    SELECT
        chain_id,
        min(first_at) AS begins_at,
        max(last_at) AS ends_at,
        count(*) AS steps,
        string_agg(
            concat(
                -- of data and anomalies only the day is known
                left(strftime(first_at, '%Y-%m-%d %H:%M'), CASE WHEN kind IN ('data', 'anomaly') THEN 10 ELSE 16 END),
                CASE WHEN about = 'actor' THEN concat(', ', coalesce(nullif(display_name, ''), app_id)) ELSE '' END,
                -- what an app's finding is about, another step tells
                ': ',
                CASE WHEN about = 'app' AND kind = 'finding' THEN concat(title, ' (', severity, ').') ELSE words END
            ), ' ' ORDER BY place
        ) FILTER (place <= $told) AS story
    FROM chain_steps
    -- findings without a time are told beside the story, not in it
    WHERE first_at IS NOT NULL
    GROUP BY chain_id
)

SELECT
    heads.chain_id,
    heads.about,
    heads.service_principal_id,
    heads.app_id,
    heads.name,
    heads.severity,
    heads.findings,
    heads.apps,
    heads.actors,
    stories.begins_at,
    stories.ends_at,
    stories.steps,
    concat(
        stories.story,
        CASE WHEN stories.steps > $told THEN concat(' ', stories.steps - $told, ' more steps follow.') ELSE '' END
    ) AS story,
    heads.finding_ids
FROM heads
INNER JOIN stories USING (chain_id)
ORDER BY heads.weight DESC, heads.about = 'actor', stories.begins_at, heads.chain_id
