-- grain: category x app in it
-- source: category_marks
SELECT
    category,
    service_principal_id,
    app_id,
    display_name
FROM category_marks
WHERE is_in
ORDER BY category, service_principal_id
