-- grain: service principal or app registration in one form (a renamed one has several), with the readings it was seen in
-- source: objects_seen_history, kept_apps_seen
WITH kept AS (
    SELECT k.* EXCLUDE (snapshot_id), list(r.reading) AS readings
    FROM (SELECT * EXCLUDE (snapshots), unnest(snapshots) AS snapshot_id FROM kept_apps_seen) AS k
    INNER JOIN source_readings AS r ON r.source = k.source AND r.snapshot_id = k.snapshot_id
    GROUP BY ALL
),

forms AS (
    SELECT
        source,
        guid(id) AS object_id,
        guid("appId") AS app_id,
        filled("displayName") AS display_name,
        TRY_CAST("accountEnabled" AS BOOLEAN) AS account_enabled,
        TRY_CAST("isDisabled" AS BOOLEAN) AS is_disabled,
        filled("disabledByMicrosoftStatus") AS disabled_by_microsoft_status,
        filled("publisherName") AS publisher_name,
        filled(verified_publisher) AS verified_publisher,
        filled("signInAudience") AS sign_in_audience,
        TRY_CAST("appRoleAssignmentRequired" AS BOOLEAN) AS assignment_required,
        -- in whatever order they come
        list_sort(list_distinct(texts(addresses) || texts(more_addresses) || texts(yet_more_addresses))) AS reply_urls,
        readings
    FROM objects_seen_history
    UNION ALL BY NAME
    SELECT * FROM kept
)

SELECT * EXCLUDE (readings), list_sort(list_distinct(flatten(list(readings)))) AS readings
FROM forms
WHERE object_id IS NOT NULL
GROUP BY ALL
