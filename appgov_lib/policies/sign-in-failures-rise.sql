-- grain: app of whose own sign-ins a much larger share fails than before
-- source: sign_ins_daily, app_inventory
WITH counted AS (
    SELECT
        app_id,
        coalesce(sum(sign_ins) FILTER (day > CAST($as_of AS DATE) - $days), 0) AS sign_ins_now,
        coalesce(sum(failures) FILTER (day > CAST($as_of AS DATE) - $days), 0) AS failures_now,
        coalesce(sum(sign_ins) FILTER (day <= CAST($as_of AS DATE) - $days), 0) AS sign_ins_before,
        coalesce(sum(failures) FILTER (day <= CAST($as_of AS DATE) - $days), 0) AS failures_before
    FROM sign_ins_daily
    WHERE
        sign_in_type = 'service_principal'
        AND day <= CAST($as_of AS DATE)
        AND day > CAST($as_of AS DATE) - CAST($days_history AS INTEGER)
    GROUP BY app_id
),

shares AS (
    SELECT
        *,
        failures_now / sign_ins_now AS share_now,
        -- one more failure than were seen: of an app that never failed the share is unknown, not none
        (failures_before + 1) / (sign_ins_before + 1) AS share_before
    FROM counted
    WHERE sign_ins_now > 0 AND sign_ins_before >= $min_failures
)

SELECT
    app.service_principal_id,
    app.app_id,
    app.display_name AS app_display_name,
    '' AS subject,
    round(100 * shares.share_now, 1) AS measure,
    round(100 * $min_share, 1) AS threshold,
    concat(
        shares.failures_now, ' of the app''s ', shares.sign_ins_now, ' sign-ins of the period failed (',
        CAST(round(100 * shares.share_now) AS INTEGER), ' %); in the ', CAST($days_history AS INTEGER) - $days,
        ' days before it was ', shares.failures_before, ' of ', shares.sign_ins_before, '.'
    ) AS reason,
    json_object(
        'failures', shares.failures_now, 'sign_ins', shares.sign_ins_now, 'failures_before', shares.failures_before,
        'sign_ins_before', shares.sign_ins_before
    ) AS evidence
FROM shares
INNER JOIN app_inventory AS app
    ON shares.app_id = app.app_id
WHERE
    app.is_in_scope
    AND shares.failures_now >= $min_failures
    AND shares.share_now >= $min_share
    AND shares.share_now >= $times * shares.share_before
ORDER BY app.service_principal_id
