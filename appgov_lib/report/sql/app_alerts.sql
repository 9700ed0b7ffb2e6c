-- grain: app x alert, risk detection or risk that Microsoft raised about it
-- source: app_alerts, findings; apps with an open finding
SELECT
    raised.app_id,
    raised.record_kind,
    raised.title,
    raised.severity,
    raised.status,
    raised.is_open,
    raised.service_source,
    raised.first_at,
    raised.last_at,
    raised.incident_id,
    raised.incident_status,
    raised.alert_url,
    raised.incident_url,
    raised.alert_id
FROM app_alerts AS raised
SEMI JOIN (FROM findings WHERE state NOT IN ('resolved', 'excepted')) AS f
    ON f.app_id = raised.app_id
ORDER BY raised.app_id, raised.is_open DESC, raised.first_at DESC NULLS LAST, raised.alert_id
