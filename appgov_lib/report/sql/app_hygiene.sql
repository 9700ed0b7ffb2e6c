-- grain: app x check found or unknown
-- source: app_hygiene, reference/hygiene_checks.csv, findings; apps with an open finding
SELECT
    h.service_principal_id,
    h.check_id,
    c.title,
    h.verdict,
    h.subject,
    h.detail,
    h.hits,
    h.reason,
    c.why
FROM app_hygiene AS h
LEFT JOIN ref_hygiene_checks AS c ON c.check_id = h.check_id
SEMI JOIN (FROM findings WHERE state NOT IN ('resolved', 'excepted')) AS f
    ON f.service_principal_id = h.service_principal_id
ORDER BY h.service_principal_id, h.verdict DESC, c.title, h.check_id
