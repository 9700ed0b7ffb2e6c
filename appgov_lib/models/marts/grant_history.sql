-- grain: permission of one grant, from when to when (grant x permission x first snapshot)
-- source: access_times_history
SELECT
    object_key AS grant_id,
    holder_id AS service_principal_id,
    related_id AS resource_id,
    value AS permission,
    kind AS permission_type,
    CASE WHEN consent_type = 'Principal' THEN 'user' ELSE 'admin' END AS consent_type,
    principal_id,
    valid_from,
    valid_from_source,
    valid_to,
    valid_to_source,
    begun_by_id AS consented_by_id,
    begun_by_name AS consented_by_name,
    begun_at AS consented_at,
    ended_by_id AS revoked_by_id,
    ended_by_name AS revoked_by_name,
    first_snapshot,
    last_snapshot
FROM access_times_history
WHERE kind IN ('delegated', 'application')
ORDER BY service_principal_id, resource_id, permission_type, permission, grant_id, first_reading
