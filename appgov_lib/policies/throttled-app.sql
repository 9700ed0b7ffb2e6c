-- grain: app of whose calls in the period a share was told to wait
-- source: app_usage_summary, app_inventory
SELECT
    app.service_principal_id,
    app.app_id,
    app.display_name AS app_display_name,
    '' AS subject,
    round(100 * usage.throttled / usage.calls, 1) AS measure,
    round(100 * $min_share, 1) AS threshold,
    concat(
        usage.throttled, ' of the app''s ', usage.calls, ' calls of the period were told to wait (',
        round(100 * usage.throttled / usage.calls, 1), ' %), which is ',
        CASE
            WHEN usage.throttled >= $critical_share * usage.calls THEN 'so much that work is likely to be late or lost.'
            ELSE 'more than an app that waits as it is told has.'
        END
    ) AS reason,
    json_object(
        'calls', usage.calls, 'throttled', usage.throttled, 'errors', usage.errors, 'services', usage.services,
        'is_critical', usage.throttled >= $critical_share * usage.calls
    ) AS evidence
FROM app_usage_summary AS usage
INNER JOIN app_inventory AS app ON usage.app_id = app.app_id
WHERE
    app.is_in_scope
    AND usage.calls >= $min_calls
    AND usage.throttled >= $min_share * usage.calls
ORDER BY app.service_principal_id
