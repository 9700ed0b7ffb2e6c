"""Which raw files a build reads, what the sources covered, and which days that makes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from pathlib import Path

from appgov_lib.extract.snapshot import Snapshot, SourceState
from appgov_lib.extract.sources import Source

READABLE = ("complete", "partial")
IMPORT_EDGE = timedelta(hours=1)
"""An imported file proves the span between its first and last record; a day that lacks no more than this at either
end counts as covered, because the first record of a day is rarely at midnight."""

SIGN_IN_TYPES = ("interactive", "non_interactive", "service_principal", "managed_identity")

Span = tuple[datetime, datetime]


@dataclass(frozen=True)
class Coverage:
    """One row of the coverage table."""

    source: str
    status: str
    rows: int
    from_at: datetime | None
    to_at: datetime | None
    reason: str
    what_is_lost: str
    optional: bool = False
    """Whether a run reads the source only when it is named, so that its absence is no gap."""
    requests: int | None = None
    """HTTP requests of the newest run that read it."""
    least_requests: int | None = None
    """Requests that full pages without retries would have needed in that run."""


@dataclass(frozen=True)
class ImportSpan:
    """The part of one imported file that belongs to one bucket."""

    bucket: str
    rows: int
    span: Span | None


def moment(text: str | None) -> datetime | None:
    """Parse an ISO time of a manifest to naive UTC; None stays None."""
    return datetime.fromisoformat(text).replace(tzinfo=None) if text else None


def span_of(state: SourceState) -> Span | None:
    """The time span a source covers, None where it has none."""
    start, end = moment(state.from_at), moment(state.to_at)
    return (start, end) if start is not None and end is not None else None


def choose_files(snapshots: Iterable[Snapshot], sources: Mapping[str, Source]) -> dict[str, list[Path]]:
    """Raw files per bucket: all of a log, the best snapshot of a state, all complete ones under `<bucket>_history`.

    For a state the newest complete reading counts, else the newest partial one; a source that ended with nothing
    never hides an older reading.
    """
    snapshots = list(snapshots)
    chosen: dict[str, list[Path]] = {}
    states = {source.bucket for source in sources.values() if source.kind == "state"}
    for source in sources.values():
        if source.kind == "state":
            best = best_snapshot(snapshots, source.name)
            chosen[source.bucket] = best.files(source.bucket) if best else []
            chosen[f"{source.bucket}_history"] = history_files(snapshots, source)
    for snapshot in snapshots:
        for bucket in snapshot.buckets:
            if bucket not in states:
                chosen.setdefault(bucket, []).extend(snapshot.files(bucket))
    return chosen


def best_snapshot(snapshots: Iterable[Snapshot], source: str) -> Snapshot | None:
    """The snapshot whose reading of a state source counts, None when it was never readable."""
    found: dict[str, Snapshot] = {}
    for snapshot in snapshots:
        state = snapshot.sources.get(source)
        if state and state.status in READABLE:
            found[state.status] = snapshot
    return found.get("complete") or found.get("partial")


def history_files(snapshots: Iterable[Snapshot], source: Source) -> list[Path]:
    """The files of every complete reading of a state source, oldest first; a partial list proves nothing gone."""
    return [
        path
        for snapshot in snapshots
        if snapshot.kind == "extract" and source.name in snapshot.sources
        if snapshot.sources[source.name].status == "complete"
        for path in snapshot.files(source.bucket)
    ]


def import_spans(snapshots: Iterable[Snapshot]) -> list[ImportSpan]:
    """What each imported file holds, bucket by bucket, oldest import first."""
    spans = []
    for snapshot in snapshots:
        if snapshot.kind == "import":
            for bucket, files in snapshot.buckets.items():
                state = snapshot.sources.get(bucket)
                rows = sum(file.rows for file in files)
                if rows:
                    spans.append(ImportSpan(bucket=bucket, rows=rows, span=span_of(state) if state else None))
    return spans


def source_names(bucket: str, sign_in_types: Iterable[str]) -> tuple[str, ...]:
    """Catalogue sources an imported bucket adds to; sign-ins count for the types that occur in the file."""
    for family in ("api_activity", "directory_audits", "security_alerts"):
        if bucket.startswith(f"{family}_"):
            return (family,)
    if bucket.startswith("sign_ins_"):
        return tuple(f"sign_ins_{kind}" for kind in SIGN_IN_TYPES if kind in set(sign_in_types))
    return ()


def coverage_rows(
    snapshots: list[Snapshot],
    sources: Mapping[str, Source],
    imported: Mapping[str, list[ImportSpan]],
) -> list[Coverage]:
    """One row per catalogue source, in catalogue order, then one per import bucket that holds data.

    `imported` gives the imported spans per catalogue source.
    """
    rows = [_source_row(source, snapshots, imported.get(source.name, [])) for source in sources.values()]
    by_name = {row.source: row for row in rows}
    for source in sources.values():
        if source.stands_in_for:
            by_name[source.stands_in_for] = _either(by_name[source.stands_in_for], by_name[source.name], source)
    rows = list(by_name.values())
    buckets: dict[str, list[ImportSpan]] = {}
    for entry in import_spans(snapshots):
        buckets.setdefault(entry.bucket, []).append(entry)
    for bucket, entries in sorted(buckets.items()):
        spans = [entry.span for entry in entries if entry.span]
        rows.append(
            Coverage(
                source=bucket,
                status="partial",
                rows=sum(entry.rows for entry in entries),
                from_at=min((span[0] for span in spans), default=None),
                to_at=max((span[1] for span in spans), default=None),
                reason="imported files",
                what_is_lost="",
            )
        )
    return rows


def _source_row(source: Source, snapshots: list[Snapshot], imported: list[ImportSpan]) -> Coverage:
    """The coverage of one catalogue source over all snapshots."""
    readings = [(s, s.sources[source.name]) for s in snapshots if s.kind == "extract" and source.name in s.sources]
    if not readings:
        status = "not_collected"
        reason = "this source was not read in any run" if source.default else "optional: read only when it is named"
        used: list[tuple[Snapshot, SourceState]] = []
    else:
        newest = readings[-1][1]
        status, reason = newest.status, newest.reason
        used = [reading for reading in readings if reading[1].status in READABLE]
        if source.kind == "state":
            best = best_snapshot(snapshots, source.name)
            used = [reading for reading in used if reading[0] is best]
        if used and used[-1][1] is not newest:
            status = "partial"
            reason = (
                f"the newest run could not read it ({reason or newest.status}); rows are from {used[-1][0].finished_at}"
            )
    spans = [span for _, state in used if (span := span_of(state))]
    rows = sum(state.rows for _, state in used)
    if imported:
        spans += [entry.span for entry in imported if entry.span]
        rows += sum(entry.rows for entry in imported)
        if status != "complete":
            reason = "; ".join(part for part in ("imported files", reason) if part)
            status = "partial"
    return Coverage(
        source=source.name,
        status=status,
        rows=rows,
        from_at=min((span[0] for span in spans), default=None),
        to_at=max((span[1] for span in spans), default=None),
        reason=reason,
        what_is_lost=source.what_is_lost,
        optional=not source.default,
        requests=readings[-1][1].requests if readings else None,
        least_requests=readings[-1][1].least_requests if readings else None,
    )


_RANK = ("complete", "partial", "failed", "not_permitted", "not_licensed", "not_collected")
"""How much each status says, most first."""


def _either(own: Coverage, other: Coverage, source: Source) -> Coverage:
    """The coverage of facts that two sources give, each in its own form: that of the better one.

    `other` is the coverage of `source`, which gives them in the form that lacks something.
    """
    better = _RANK.index(other.status) < _RANK.index(own.status)
    if better:
        lacks = f", without {source.gives_without}" if other.status in READABLE else ""
        said = f"through {other.source}{lacks}" + (f": {other.reason}" if other.reason else "")
        reason = "; ".join(part for part in (said, own.reason if own.rows else "") if part)
        own = replace(own, status=other.status, reason=reason)
    if other.status not in READABLE:
        return own
    # both were read, or only the other one was: a span is covered by either
    starts = [moment for moment in (own.from_at, other.from_at) if moment is not None]
    ends = [moment for moment in (own.to_at, other.to_at) if moment is not None]
    optional = own.optional and not better
    return replace(own, from_at=min(starts, default=None), to_at=max(ends, default=None), optional=optional)


def covered_days(
    snapshots: Iterable[Snapshot], sources: Mapping[str, Source], imported: Mapping[str, list[ImportSpan]]
) -> list[tuple[str, date, bool]]:
    """Days each log source covers: (source, day, whether a complete extraction vouches for the whole day).

    Days that only an import holds have False: nobody knows what the export left out.
    """
    complete: dict[str, list[Span]] = {}
    for snapshot in snapshots:
        for name, state in snapshot.sources.items():
            span = span_of(state)
            if snapshot.kind == "extract" and name in sources and state.status == "complete" and span:
                complete.setdefault(name, []).append(span)
                if sources[name].stands_in_for:
                    complete.setdefault(sources[name].stands_in_for, []).append(span)
    rows: dict[tuple[str, date], bool] = {}
    for name, entries in imported.items():
        for day in whole_days([entry.span for entry in entries if entry.span], IMPORT_EDGE):
            rows[name, day] = False
    for name, spans in complete.items():
        for day in whole_days(spans, timedelta()):
            rows[name, day] = True
    return [(name, day, is_complete) for (name, day), is_complete in sorted(rows.items())]


def whole_days(spans: Iterable[Span], edge: timedelta) -> list[date]:
    """Days that lie inside the union of `spans`, missing at most `edge` at the start and the end of a span."""
    merged: list[Span] = []
    for start, end in sorted((start - edge, end + edge) for start, end in spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    days = []
    for start, end in merged:
        day = start.date() if start.time() == time() else start.date() + timedelta(days=1)
        while datetime.combine(day + timedelta(days=1), time()) <= end:
            days.append(day)
            day += timedelta(days=1)
    return sorted(set(days))


def group_imports(
    spans: Iterable[ImportSpan], types_in: Callable[[ImportSpan], Iterable[str]]
) -> dict[str, list[ImportSpan]]:
    """Imported spans per catalogue source; `types_in` says which sign-in types an imported span holds."""
    grouped: dict[str, list[ImportSpan]] = {}
    for entry in spans:
        types = types_in(entry) if entry.bucket.startswith("sign_ins_") else ()
        for name in source_names(entry.bucket, types):
            grouped.setdefault(name, []).append(entry)
    return grouped
