"""Which files a build reads, what the coverage table says, and which days count as looked at."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from appgov_lib.extract.snapshot import RawFile, Snapshot, SourceState
from appgov_lib.extract.sources import load_sources
from appgov_lib.store.inputs import (
    IMPORT_EDGE,
    Coverage,
    choose_files,
    coverage_rows,
    covered_days,
    group_imports,
    import_spans,
    source_names,
    whole_days,
)

SOURCES = load_sources()


def snapshot(
    snapshot_id: str, sources: dict[str, SourceState], kind: str = "extract", buckets: dict[str, int] | None = None
) -> Snapshot:
    """A finished snapshot; every readable source has one file in its bucket unless `buckets` says otherwise."""
    if buckets is None:
        buckets = {
            SOURCES[n].bucket: s.rows for n, s in sources.items() if s.status in ("complete", "partial") and s.rows
        }
    return Snapshot(
        snapshot_id=snapshot_id,
        kind=kind,
        started_at="2026-11-16T00:00:00Z",
        finished_at=f"2026-11-16T00:00:0{snapshot_id[-1]}Z",
        folder=Path(snapshot_id),
        buckets={bucket: (RawFile(f"{bucket}/1.ndjson.zst", rows, "", ""),) for bucket, rows in buckets.items()},
        sources=sources,
    )


def state(status: str, rows: int = 0, span: tuple[str, str] | None = None, reason: str = "") -> SourceState:
    """A source's end."""
    return SourceState(status=status, reason=reason, rows=rows, from_at=span and span[0], to_at=span and span[1])


def row(snapshots: list[Snapshot], source: str) -> Coverage:
    """The coverage row of one source."""
    imported = group_imports(import_spans(snapshots), lambda _: ["interactive"])
    return next(r for r in coverage_rows(snapshots, SOURCES, imported) if r.source == source)


@pytest.mark.parametrize(
    ("ends", "expected"),
    [
        (["complete", "complete"], "s1"),  # the newest
        (["complete", "partial"], "s0"),  # half a list never replaces a whole one
        (["complete", "failed"], "s0"),
        (["partial", "partial", "not_permitted"], "s1"),
        (["failed", "not_permitted"], None),
    ],
)
def test_best_reading_of_a_state(ends: list[str], expected: str | None) -> None:
    snapshots = [snapshot(f"s{n}", {"users": state(end, 5)}) for n, end in enumerate(ends)]
    files = choose_files(snapshots, SOURCES)["users"]
    assert [path.parts[0] for path in files] == ([expected] if expected else [])


def test_a_complete_empty_reading_hides_an_older_full_one() -> None:
    snapshots = [snapshot("s0", {"users": state("complete", 5)}), snapshot("s1", {"users": state("complete", 0)})]
    assert choose_files(snapshots, SOURCES)["users"] == []


def test_all_files_of_a_log_are_read() -> None:
    snapshots = [
        snapshot("s0", {"security_alerts": state("complete", 1)}),
        snapshot("s1", {"security_alerts": state("partial", 1)}),
        snapshot("i2", {}, kind="import", buckets={"security_alerts_graph": 1, "sign_ins_diagnostic": 2}),
    ]
    files = choose_files(snapshots, SOURCES)
    assert [path.parts[0] for path in files["security_alerts_graph"]] == ["s0", "s1", "i2"]
    assert len(files["sign_ins_diagnostic"]) == 1


def test_every_source_has_a_row_and_silence_is_not_collected() -> None:
    rows = coverage_rows([snapshot("s0", {"users": state("complete", 5)})], SOURCES, {})
    assert [r.source for r in rows] == list(SOURCES)
    assert {r.status for r in rows if r.source != "users"} == {"not_collected"}
    assert all(r.reason and r.what_is_lost for r in rows if r.source != "users")


def test_a_failed_newest_run_is_told_while_older_rows_are_used() -> None:
    snapshots = [
        snapshot("s0", {"users": state("complete", 5)}),
        snapshot("s1", {"users": state("failed", reason="503")}),
    ]
    found = row(snapshots, "users")
    assert (found.status, found.rows) == ("partial", 5)
    assert "503" in found.reason
    assert "2026-11-16T00:00:00Z" in found.reason


def test_a_log_adds_up_over_runs() -> None:
    snapshots = [
        snapshot("s0", {"api_activity": state("complete", 5, ("2026-11-01T00:00:00Z", "2026-11-08T00:00:00Z"))}),
        snapshot("s1", {"api_activity": state("complete", 7, ("2026-11-07T00:00:00Z", "2026-11-16T00:00:00Z"))}),
    ]
    found = row(snapshots, "api_activity")
    assert (found.status, found.rows) == ("complete", 12)
    assert (found.from_at, found.to_at) == (datetime(2026, 11, 1), datetime(2026, 11, 16))


def test_an_import_makes_a_missing_source_partial() -> None:
    span = ("2026-11-01T00:10:00Z", "2026-11-03T23:50:00Z")
    snapshots = [
        snapshot("s0", {"api_activity": state("not_licensed", reason="no Defender XDR")}),
        snapshot(
            "i1", {"api_activity_diagnostic": state("complete", 9, span)}, "import", {"api_activity_diagnostic": 9}
        ),
    ]
    found = row(snapshots, "api_activity")
    assert (found.status, found.rows, found.reason) == ("partial", 9, "imported files; no Defender XDR")
    bucket = row(snapshots, "api_activity_diagnostic")
    assert (bucket.status, bucket.rows, bucket.reason) == ("partial", 9, "imported files")
    days = covered_days(snapshots, SOURCES, group_imports(import_spans(snapshots), lambda _: []))
    assert days == [("api_activity", date(2026, 11, day), False) for day in (1, 2, 3)]


def test_imported_sign_ins_count_for_the_types_they_hold() -> None:
    assert source_names("sign_ins_diagnostic", ["interactive", "unknown"]) == ("sign_ins_interactive",)
    assert source_names("office_activity_unified_audit", []) == ()


def test_only_complete_extractions_vouch_for_days() -> None:
    span = ("2026-11-01T00:00:00Z", "2026-11-04T00:00:00Z")
    snapshots = [
        snapshot("s0", {"api_activity": state("complete", 5, span), "directory_audits": state("partial", 5, span)}),
    ]
    assert covered_days(snapshots, SOURCES, {}) == [("api_activity", date(2026, 11, day), True) for day in (1, 2, 3)]


@pytest.mark.parametrize(
    ("spans", "edge", "expected"),
    [
        ([("01 00:00", "03 00:00")], 0, [1, 2]),
        ([("01 00:01", "03 23:59")], 0, [2]),
        ([("01 00:59", "03 23:01")], 60, [1, 2, 3]),  # an export begins with its first record
        ([("01 01:01", "03 22:59")], 60, [2]),
        ([("01 00:00", "02 12:00"), ("02 11:00", "04 00:00")], 0, [1, 2, 3]),  # two runs make day 2 whole
        ([("01 00:00", "02 12:00"), ("02 13:00", "04 00:00")], 0, [1, 3]),  # an hour is missing
        ([], 0, []),
    ],
)
def test_whole_days(spans: list[tuple[str, str]], edge: int, expected: list[int]) -> None:
    moments = [tuple(datetime.strptime(f"2026-11-{t}", "%Y-%m-%d %H:%M") for t in span) for span in spans]  # noqa: DTZ007
    assert timedelta(hours=1) == IMPORT_EDGE
    found = whole_days([(start, end) for start, end in moments], timedelta(minutes=edge))
    assert [day.day for day in found] == expected


SUMS = "api_activity_sums"
LACKS = "through api_activity_sums, without addresses, clients and names of users"


def test_complete_sums_cover_the_calls_they_stand_in_for() -> None:
    span = ("2026-11-01T00:00:00Z", "2026-11-04T00:00:00Z")
    snapshots = [snapshot("s0", {SUMS: state("complete", 5, span)})]
    found = row(snapshots, "api_activity")
    assert (found.status, found.reason, found.optional, found.rows) == ("complete", LACKS, False, 0)
    assert (found.from_at, found.to_at) == (datetime(2026, 11, 1), datetime(2026, 11, 4))
    assert covered_days(snapshots, SOURCES, {}) == [
        (name, date(2026, 11, day), True) for name in ("api_activity", SUMS) for day in (1, 2, 3)
    ]


def test_partial_sums_cover_no_day_and_are_told() -> None:
    span = ("2026-11-01T00:00:00Z", "2026-11-04T00:00:00Z")
    snapshots = [snapshot("s0", {SUMS: state("partial", 5, span, "a window failed")})]
    found = row(snapshots, "api_activity")
    assert (found.status, found.reason) == ("partial", f"{LACKS}: a window failed")
    assert covered_days(snapshots, SOURCES, {}) == []


@pytest.mark.parametrize("status", ["not_permitted", "not_licensed", "failed"])
def test_sums_that_cannot_be_read_say_why_there_are_no_calls(status: str) -> None:
    found = row([snapshot("s0", {SUMS: state(status, reason="403")})], "api_activity")
    assert (found.status, found.reason, found.from_at) == (status, f"through {SUMS}: 403", None)


def test_single_calls_need_no_sums() -> None:
    old, new = ("2026-10-01T00:00:00Z", "2026-11-02T00:00:00Z"), ("2026-11-01T00:00:00Z", "2026-11-04T00:00:00Z")
    snapshots = [
        snapshot("s0", {"api_activity": state("complete", 9, old)}),
        snapshot("s1", {SUMS: state("not_permitted", reason="403")}),
    ]
    assert (row(snapshots, "api_activity").status, row(snapshots, "api_activity").reason) == ("complete", "")
    snapshots[1] = snapshot("s1", {SUMS: state("complete", 5, new)})
    found = row(snapshots, "api_activity")
    assert (found.status, found.rows) == ("complete", 9)
    assert (found.from_at, found.to_at) == (datetime(2026, 10, 1), datetime(2026, 11, 4)), "either covers"


def test_imported_calls_count_beside_sums_and_without_them() -> None:
    span = ("2026-10-01T00:00:00Z", "2026-10-03T00:00:00Z")
    imported = snapshot(
        "i1", {"api_activity_diagnostic": state("complete", 9, span)}, "import", {"api_activity_diagnostic": 9}
    )
    refused = row([snapshot("s0", {SUMS: state("not_permitted", reason="403")}), imported], "api_activity")
    assert (refused.status, refused.rows) == ("partial", 9)
    assert refused.reason.startswith("imported files")
    read = snapshot("s0", {SUMS: state("complete", 5, ("2026-11-01T00:00:00Z", "2026-11-04T00:00:00Z"))})
    found = row([read, imported], "api_activity")
    assert (found.status, found.rows, found.from_at) == ("complete", 9, datetime(2026, 10, 1))
    assert found.reason.startswith(f"{LACKS}; imported files")
