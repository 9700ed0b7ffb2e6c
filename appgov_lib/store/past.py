"""What the data would have said on an earlier day: which readings count then, and which rows are later than it.

A weekly run reads on the day after its week, so a reading speaks about the day before it began. A log counts whatever
day it was read on, up to the end of the day asked about.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta

import duckdb

from appgov_lib.extract.snapshot import Snapshot, SourceState, iso
from appgov_lib.extract.sources import Source
from appgov_lib.store.inputs import READABLE, moment

_LATER = {
    "stg_sign_ins": "created_at",
    "stg_spn_sign_in_events": "created_at",
    "stg_audit_records": "occurred_at",
    "stg_directory_audits": "activity_at",
    "stg_api_activity": "called_at",
    "stg_api_activity_sums": "day",
    "stg_office_activity": "occurred_at",
    "stg_cloud_app_events": "occurred_at",
    "stg_security_alerts": "created_at",
    "stg_service_principal_risk_detections": "detected_at",
    "stg_incidents": "created_at",
    "stg_secure_scores": "created_at",
    "stg_app_role_assignments": "created_at",
    "stg_applications": "created_at",
    "stg_service_principals": "created_at",
    "kept_sign_ins_daily": "day",
    "kept_app_activity_daily": "day",
}
"""Tables whose rows say when they came to be, and the column that does."""
_PARTS = {
    "stg_delegated_grants": "service_principal_id",
    "stg_app_role_assignments": "service_principal_id",
    "stg_directory_role_assignments": "principal_id",
    "stg_owners": "object_id",
}
"""What goes with a service principal that was not there yet."""


@dataclass(frozen=True)
class Past:
    """The data as of one day."""

    as_of: date
    snapshots: list[Snapshot]
    """The snapshots, without what is later than the day."""
    read_on: Mapping[str, date]
    """By state source: the day its reading speaks about; later than `as_of` where no earlier reading is kept."""


def day_of(snapshot: Snapshot) -> date:
    """The day a reading speaks about: the one before it began."""
    return datetime.fromisoformat(snapshot.started_at).date() - timedelta(days=1)


def as_known(snapshots: Iterable[Snapshot], sources: Mapping[str, Source], as_of: date) -> Past:
    """The snapshots as of the day `as_of`.

    Of a state source all readings up to that day stay; where none is complete, the earliest complete one (else
    the earliest readable one) stands in for them. Of a log the span is cut at the end of the day.
    """
    snapshots = list(snapshots)
    extracts = [snapshot for snapshot in snapshots if snapshot.kind == "extract"]
    states = {name for name, source in sources.items() if source.kind == "state"}
    stand_in = {name: _stand_in(extracts, name, as_of) for name in sorted(states)}
    end = datetime.combine(as_of + timedelta(days=1), time())
    kept: list[Snapshot] = []
    read_on: dict[str, date] = {}
    for snapshot in snapshots:
        found: dict[str, SourceState] = {}
        for name, state in snapshot.sources.items():
            if name in states:
                only = stand_in[name]
                cut = state if (day_of(snapshot) <= as_of if only is None else snapshot is only) else None
                if cut is not None and state.status in READABLE:
                    read_on[name] = day_of(snapshot)
            else:
                cut = _cut(state, end, later=day_of(snapshot) > as_of)
            if cut is not None:
                found[name] = cut
        gone = _buckets(snapshot.sources.keys() - found.keys(), sources) - _buckets(found.keys(), sources)
        buckets = {bucket: files for bucket, files in snapshot.buckets.items() if bucket not in gone}
        if found:
            kept.append(replace(snapshot, sources=found, buckets=buckets))
    return Past(as_of, kept, read_on)


def _stand_in(snapshots: list[Snapshot], source: str, as_of: date) -> Snapshot | None:
    """The later reading that stands for the day, None where a complete one not later than it is kept."""
    read = [snapshot for snapshot in snapshots if source in snapshot.sources]
    complete = [snapshot for snapshot in read if snapshot.sources[source].status == "complete"]
    if any(day_of(snapshot) <= as_of for snapshot in complete):
        return None
    some = complete or [snapshot for snapshot in read if snapshot.sources[source].status in READABLE]
    return min(some, key=day_of) if some else None


def _cut(state: SourceState, end: datetime, later: bool) -> SourceState | None:
    """A log's state with its span cut at `end`; None where all of it is later."""
    start, last = moment(state.from_at), moment(state.to_at)
    if start is None or last is None:
        return None if later else state
    if start >= end:
        return None
    return state if last <= end else replace(state, to_at=iso(end))


def _buckets(names: Iterable[str], sources: Mapping[str, Source]) -> set[str]:
    """The buckets these sources fill; an imported log is called after its bucket."""
    return {sources[name].bucket if name in sources else name for name in names}


def cut_rows(con: duckdb.DuckDBPyConnection, as_of: date) -> None:
    """Delete what is dated after `as_of` from the staging tables that are there.

    An undated object stays: of what a later reading shows, nobody knows since when it has been so.
    """
    there = {row[0] for row in con.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
    end = {"end": datetime.combine(as_of + timedelta(days=1), time())}
    if "stg_service_principals" in there:
        for table, column in _PARTS.items():
            if table in there:
                new = "SELECT service_principal_id FROM stg_service_principals WHERE created_at >= $end"
                con.execute(f"DELETE FROM {table} WHERE {column} IN ({new})", end)
    for table, column in _LATER.items():
        if table in there:
            con.execute(f"DELETE FROM {table} WHERE {column} >= $end", end)
