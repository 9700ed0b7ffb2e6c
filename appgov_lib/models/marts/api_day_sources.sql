-- grain: day with API activity
-- source: stg_api_activity, stg_api_activity_sums
-- Single requests and sums of the same day must not be added: the day is taken from whichever saw more calls, and from
-- the single requests when both saw the same.
WITH seen AS (
    SELECT CAST(called_at AS DATE) AS day, 'requests' AS read_from, count(*) AS calls
    FROM stg_api_activity
    WHERE called_at IS NOT NULL
    GROUP BY ALL
    UNION ALL
    SELECT day, 'sums' AS read_from, sum(calls) AS calls
    FROM stg_api_activity_sums
    GROUP BY ALL
)

SELECT
    day,
    arg_max(read_from, (calls, read_from = 'requests')) AS read_from
FROM seen
WHERE day <= CAST($as_of AS DATE)
GROUP BY day
ORDER BY day
