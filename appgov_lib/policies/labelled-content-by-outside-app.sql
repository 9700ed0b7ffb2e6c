-- grain: outside app that touched content with a sensitivity label
-- source: app_inventory (labels from cloud app events)
SELECT
    service_principal_id,
    app_id,
    display_name AS app_display_name,
    '' AS subject,
    CAST(len(sensitivity_label_ids) AS DOUBLE) AS measure,
    CAST($min_labels AS DOUBLE) AS threshold,
    concat(
        'An app of another tenant touched content with ', len(sensitivity_label_ids),
        CASE WHEN len(sensitivity_label_ids) = 1 THEN ' sensitivity label' ELSE ' sensitivity labels' END,
        ' in 30 days.'
    ) AS reason,
    json_object(
        'sensitivity_label_ids', sensitivity_label_ids, 'services', services, 'publisher_name', publisher_name,
        'publisher_verified', publisher_verified, 'consent_type', consent_type
    ) AS evidence
FROM app_inventory
WHERE
    is_in_scope
    AND app_origin = 'external'
    AND len(sensitivity_label_ids) >= $min_labels
ORDER BY service_principal_id
