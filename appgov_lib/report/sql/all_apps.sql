-- grain: service principal, worst first
-- source: app_inventory, findings
WITH open_findings AS (
    SELECT
        service_principal_id,
        count(*) AS findings,
        arg_min(severity, list_position(['critical', 'high', 'medium', 'low', 'info'], severity)) AS worst
    FROM findings
    WHERE state NOT IN ('resolved', 'excepted')
    GROUP BY service_principal_id
)

SELECT
    app.service_principal_id,
    app.app_id,
    app.display_name,
    app.app_origin,
    app.is_in_scope,
    app.publisher_name,
    app.publisher_verified,
    app.status,
    app.risk_score,
    app.privilege_level,
    app.permission_count,
    app.unused_permission_count,
    app.consent_type,
    app.consented_users,
    app.owner_count,
    app.next_expiry_at,
    app.created_at,
    app.last_used_at,
    app.calls_30d,
    app.bytes_30d,
    app.service_principal_type,
    coalesce(open_findings.findings, 0) AS findings,
    coalesce(open_findings.worst, 'none') AS worst
FROM app_inventory AS app
LEFT JOIN open_findings USING (service_principal_id)
ORDER BY
    list_position(['critical', 'high', 'medium', 'low', 'info', 'none'], worst),
    app.risk_score DESC NULLS LAST,
    app.display_name,
    app.service_principal_id
