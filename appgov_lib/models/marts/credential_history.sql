-- grain: credential, from when to when (object that holds it x key x first snapshot)
-- source: access_times_history
SELECT
    credential_origin,
    holder_id AS object_id,
    app_id,
    value AS key_id,
    credential_type,
    name,
    starts_at,
    ends_at,
    valid_from,
    valid_from_source,
    valid_to,
    valid_to_source,
    begun_by_id AS added_by_id,
    begun_by_name AS added_by_name,
    begun_at AS added_at,
    ended_by_id AS removed_by_id,
    ended_by_name AS removed_by_name,
    first_snapshot,
    last_snapshot
FROM access_times_history
WHERE kind = 'credential'
ORDER BY credential_origin, object_id, key_id, first_reading
