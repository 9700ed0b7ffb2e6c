-- grain: record of the unified audit log that tells of a change the directory audit log holds too
-- source: directory_audits_from_*; both logs carry the correlation id, but each gives the event an id of its own
-- One operation makes several changes under one correlation id, often with the same activity on the same object. So a
-- pair also has the same result, target and changed values, and lies within 5 seconds (the unified audit log cuts
-- its times to the second). What differs in any of these stays two rows.
WITH directory_records AS (
    SELECT audit_id, activity_at, activity, result, correlation_id, target_ids, targets FROM directory_audits_from_graph
    UNION ALL
    SELECT audit_id, activity_at, activity, result, correlation_id, target_ids, targets
    FROM directory_audits_from_diagnostic
    UNION ALL
    SELECT audit_id, activity_at, activity, result, correlation_id, target_ids, targets
    FROM directory_audits_from_log_analytics
),

events AS (
    SELECT
        'directory' AS log,
        *,
        CASE WHEN len(target_ids) = 0 THEN [''] ELSE list_distinct(target_ids) END AS possible_targets
    FROM directory_records
    WHERE correlation_id IN (SELECT correlation_id FROM directory_audits_from_unified_audit)
    UNION ALL BY NAME
    SELECT
        'unified' AS log,
        audit_id,
        activity_at,
        activity,
        result,
        correlation_id,
        targets,
        -- only the object itself: the others may be its app id
        [coalesce(target_ids[1], '')] AS possible_targets
    FROM directory_audits_from_unified_audit
    WHERE correlation_id IN (SELECT correlation_id FROM directory_records)
),

-- an event may have been read several times and in several shapes
once AS (
    SELECT
        log,
        audit_id,
        activity_at,
        correlation_id,
        concat_ws('|', result, lower(rtrim(activity, '. '))) AS action,
        possible_targets,
        list_transform(
            flatten(list_transform(
                json_transform(targets, '[{"modifiedProperties":
                    [{"displayName": "VARCHAR", "oldValue": "VARCHAR", "newValue": "VARCHAR"}]}]'),
                lambda t: t."modifiedProperties"
            )),
            lambda p: [coalesce(trim(p."displayName"), ''), changed_value(p."oldValue"), changed_value(p."newValue")]
        ) AS properties
    FROM events
    WHERE activity_at IS NOT NULL AND activity IS NOT NULL
    QUALIFY row_number() OVER (
        PARTITION BY log, audit_id
        ORDER BY len(possible_targets) DESC, activity_at, CAST(targets AS VARCHAR)
    ) = 1
),

keyed AS (
    SELECT
        log,
        audit_id,
        activity_at,
        correlation_id,
        action,
        unnest(possible_targets) AS target,
        -- not changes of their own: the list of the other names, and ids of the target
        list_sort(list_filter(properties,
            lambda p: p[1] <> 'Included Updated Properties' AND NOT starts_with(p[1], 'TargetId.'))) AS changes
    FROM once
),

same AS (
    SELECT
        log,
        audit_id,
        activity_at,
        md5(CAST([correlation_id, action, target, CAST(changes AS VARCHAR)] AS VARCHAR)) AS same_change
    FROM keyed
    -- without a target and a value nothing says that two records tell of the same change
    WHERE target <> '' OR len(changes) > 0
),

-- the same change, tried again: events further apart than 5 seconds are told apart
gaps AS (
    SELECT
        *,
        activity_at - lag(activity_at) OVER (PARTITION BY same_change ORDER BY activity_at, log, audit_id)
            > INTERVAL 5 SECONDS AS begins
    FROM same
),

moments AS (
    SELECT
        *,
        count(*) FILTER (begins) OVER (PARTITION BY same_change ORDER BY activity_at, log, audit_id) AS moment
    FROM gaps
),

-- within a moment the first goes with the first, the second with the second
numbered AS (
    SELECT *, row_number() OVER (PARTITION BY log, same_change, moment ORDER BY activity_at, audit_id) AS place
    FROM moments
)

SELECT
    unified.audit_id AS unified_audit_id,
    directory.audit_id,
    abs(epoch(unified.activity_at - directory.activity_at)) AS seconds_apart
FROM numbered AS unified
JOIN numbered AS directory USING (same_change, moment, place)
WHERE unified.log = 'unified' AND directory.log = 'directory' AND seconds_apart <= 5
-- an event with two targets is still one event
QUALIFY row_number() OVER (PARTITION BY directory.audit_id ORDER BY seconds_apart, unified.audit_id) = 1
ORDER BY unified_audit_id
