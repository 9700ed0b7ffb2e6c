-- grain: app x kind of call, over the 30 days that end with $as_of
-- source: app_calls, stg_api_activity, stg_api_activity_sums, api_day_sources
-- The parts of a batch are logged one by one. More envelopes than calls: parts are missing from the log.
WITH totals AS (
    SELECT
        app_id,
        permission_type,
        CAST(sum(calls) AS BIGINT) AS calls,
        CAST(coalesce(sum(calls) FILTER (is_unmatched), 0) AS BIGINT) AS unmatched_calls,
        arg_max(concat_ws(' ', method, endpoint), (calls, endpoint)) FILTER (is_unmatched) AS unmatched_example
    FROM app_calls
    GROUP BY ALL
),

envelopes AS (
    SELECT app_id, CAST(called_at AS DATE) AS day, 'requests' AS read_from, count(*) AS batches
    FROM stg_api_activity
    WHERE is_batch_envelope
    GROUP BY ALL
    UNION ALL
    SELECT app_id, day, 'sums' AS read_from, sum(calls) AS batches
    FROM stg_api_activity_sums
    WHERE is_batch_envelope
    GROUP BY ALL
),

batches AS (
    SELECT e.app_id, CAST(sum(e.batches) AS BIGINT) AS batches
    FROM envelopes AS e
    SEMI JOIN api_day_sources AS d ON d.day = e.day AND d.read_from = e.read_from
    WHERE e.app_id IS NOT NULL AND e.day BETWEEN CAST($as_of AS DATE) - 29 AND CAST($as_of AS DATE)
    GROUP BY e.app_id
),

parts AS (
    SELECT app_id, sum(calls) AS calls
    FROM api_calls_daily
    WHERE day BETWEEN CAST($as_of AS DATE) - 29 AND CAST($as_of AS DATE)
    GROUP BY app_id
),

kinds AS (
    SELECT app_id, unnest(['application', 'delegated']) AS permission_type
    FROM (SELECT app_id FROM totals UNION SELECT app_id FROM batches)
)

SELECT
    k.app_id,
    k.permission_type,
    coalesce(t.calls, 0) AS calls,
    coalesce(t.unmatched_calls, 0) AS unmatched_calls,
    t.unmatched_example,
    greatest(coalesce(b.batches, 0) - coalesce(p.calls, 0), 0) AS batches_without_parts
FROM kinds AS k
LEFT JOIN totals AS t ON t.app_id = k.app_id AND t.permission_type = k.permission_type
LEFT JOIN batches AS b ON b.app_id = k.app_id
LEFT JOIN parts AS p ON p.app_id = k.app_id
