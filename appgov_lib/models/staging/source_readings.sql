-- grain: complete reading of a source (source x snapshot)
-- source: snapshots, snapshot_sources (written by the builder from the manifests)
-- Only complete readings compare: what a partial list leaves out has not gone. So a partial or failed reading is no
-- reading here, and the ones around it follow each other.
SELECT
    s.source,
    row_number() OVER numbered AS reading,
    n.snapshot_id,
    n.started_at AS read_at,
    -- the audit event of something seen may be later than the start: reading takes its time, and some of it may
    -- have been done hours after by a run that went on where another was killed
    greatest(n.started_at, n.finished_at) + INTERVAL 6 HOURS AS latest_at,
    lag(n.started_at) OVER numbered AS previous_read_at
FROM snapshot_sources AS s
INNER JOIN snapshots AS n USING (snapshot_id)
WHERE s.status = 'complete' AND n.kind = 'extract'
WINDOW numbered AS (PARTITION BY s.source ORDER BY n.started_at, n.snapshot_id)
ORDER BY s.source, reading
