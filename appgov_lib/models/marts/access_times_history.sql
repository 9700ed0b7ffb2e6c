-- grain: unbroken run of readings of one thing, with the audit events that began and ended it
-- source: access_spans_history, access_changes_history
WITH candidates AS (
    SELECT s.kind, s.object_key, s.value, s.first_reading, s.began_after, s.began_before, s.ended_after,
        s.ended_before, s.missed_at, s.first_read_at, c.effect, c.activity_at, c.actor_id, c.actor_name, c.audit_id,
        -- an event that names the kind of consent outweighs one that leaves it open
        c.consent_type IS NOT NULL AS is_precise
    FROM access_spans_history AS s
    INNER JOIN access_changes_history AS c ON c.holder_id = s.holder_id
    WHERE c.kind IN (s.kind, 'deletion')
        AND (c.kind = 'deletion' OR c.value = s.value OR (c.kind = 'application' AND c.value = s.app_role_id))
        -- the other side must be the same too: the resource of a permission, the owner, the role
        AND (
            c.kind IN ('deletion', 'credential')
            OR c.resource_id = s.related_id
            OR (c.resource_id IS NULL AND (list_contains(c.ids, s.related_id) OR c.activity = 'Consent to application'))
        )
        AND (c.consent_type IS NULL OR s.consent_type IS NULL OR c.consent_type = s.consent_type)
        -- a person consents for himself; who took the consent away may be somebody else
        AND (
            s.consent_type IS DISTINCT FROM 'Principal'
            OR s.principal_id = coalesce(c.principal_id, CASE c.effect WHEN 'added' THEN c.actor_id END, s.principal_id)
        )
),

begun AS (
    SELECT kind, object_key, value, first_reading,
        -- the last event before the reading; one after its start only where there is none
        arg_max({'at': activity_at, 'id': actor_id, 'name': actor_name},
            (activity_at <= first_read_at, is_precise, activity_at, audit_id)) AS event
    FROM candidates
    WHERE effect = 'added'
        AND activity_at <= began_before
        AND (began_after IS NULL OR activity_at > began_after)
    GROUP BY ALL
),

ended AS (
    SELECT kind, object_key, value, first_reading,
        arg_max({'at': activity_at, 'id': actor_id, 'name': actor_name},
            (activity_at <= missed_at, is_precise, activity_at, audit_id)) AS event
    FROM candidates
    WHERE effect = 'removed' AND activity_at > ended_after AND activity_at <= ended_before
    GROUP BY ALL
),

dated AS (
    SELECT
        s.*,
        b.event AS begin_event,
        e.event AS end_event,
        CASE
            WHEN s.dated_at > s.began_before THEN NULL
            -- validity may be set to begin long before the credential is made
            WHEN s.kind = 'credential' AND s.dated_at <= s.began_after THEN NULL
            ELSE s.dated_at
        END AS own_date
    FROM access_spans_history AS s
    LEFT JOIN begun AS b USING (kind, object_key, value, first_reading)
    LEFT JOIN ended AS e USING (kind, object_key, value, first_reading)
)

SELECT
    * EXCLUDE (begin_event, end_event, own_date, dated_at),
    coalesce(begin_event.at, own_date, CASE WHEN began_after IS NOT NULL THEN first_read_at END) AS valid_from,
    CASE
        WHEN begin_event.at IS NOT NULL THEN 'audit log'
        WHEN own_date IS NOT NULL AND kind = 'credential' THEN 'start date'
        WHEN own_date IS NOT NULL THEN 'assignment date'
        WHEN began_after IS NOT NULL THEN 'snapshot'
        ELSE 'before first snapshot'
    END AS valid_from_source,
    coalesce(end_event.at, missed_at) AS valid_to,
    CASE
        WHEN missed_at IS NULL THEN NULL
        WHEN end_event.at IS NOT NULL THEN 'audit log'
        ELSE 'snapshot'
    END AS valid_to_source,
    begin_event.id AS begun_by_id,
    begin_event.name AS begun_by_name,
    begin_event.at AS begun_at,
    end_event.id AS ended_by_id,
    end_event.name AS ended_by_name
FROM dated
