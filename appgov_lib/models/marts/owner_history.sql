-- grain: owner of an object, from when to when (object x owner x first snapshot)
-- source: access_times_history
SELECT
    CASE source WHEN 'application_owners' THEN 'application' ELSE 'service_principal' END AS object_kind,
    holder_id AS object_id,
    value AS owner_id,
    member_type AS owner_type,
    name AS owner_name,
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
WHERE kind = 'owner'
ORDER BY object_kind, object_id, owner_id, first_reading
