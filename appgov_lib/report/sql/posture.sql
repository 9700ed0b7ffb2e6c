-- grain: setting
-- source: consent_posture; risky and weak ones first
FROM consent_posture
ORDER BY list_position(['risky', 'weak', 'unknown', 'safe'], verdict), setting_id
