"""API calls that arrive summed up: nothing twice, nothing lost, and the same findings as from single requests."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from snapshots import rows, tables, take

from appgov_lib.detect import load_policies
from appgov_lib.detect.coverage import why_not
from appgov_lib.extract import walk
from appgov_lib.extract.credentials import ReadyToken
from appgov_lib.extract.run import extract
from appgov_lib.extract.snapshot import Snapshot, read_lines, read_snapshots
from appgov_lib.extract.sources import choose_sources, load_sources
from appgov_lib.sample import AS_OF, SampleTenant, answer_key, running
from appgov_lib.settings import Settings
from appgov_lib.store.build import build
from appgov_lib.store.inputs import coverage_rows
from appgov_lib.store.retention import prune

SUMS = "api_activity_sums"
PEOPLE = {"users", "users_30d", "users_previous"}
"""Columns that sums can only give a least number of."""
SIZE = 127
SINCE = datetime(2026, 11, 2)
NOW = datetime(2026, 11, 16)


# ---- the whole sample tenant, with sums alone ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def both(sample_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    """The demo's warehouse as `requests`, and one built from the same snapshot without single requests as `sums`."""
    home = tmp_path_factory.mktemp("sums-only")
    raw = Settings(home=home, tenant="sample").raw_dir
    shutil.copytree(sample_home / "data" / "sample" / "raw", raw)
    for path in raw.glob("*/manifest.json"):
        manifest = json.loads(path.read_text(encoding="utf-8"))
        del manifest["sources"]["api_activity"], manifest["buckets"]["api_activity_hunting"]
        path.write_text(json.dumps(manifest), encoding="utf-8")
    con = duckdb.connect()
    (demo,) = (sample_home / "data" / "sample").glob("**/warehouse-*.duckdb")
    con.execute(f"ATTACH '{demo}' AS requests (READ_ONLY)")
    con.execute(f"ATTACH '{build(Settings(home=home, tenant='sample'), AS_OF).path}' AS sums (READ_ONLY)")
    yield con
    con.close()


def different(con: duckdb.DuckDBPyConnection, table: str, leave_out: set[str]) -> list[tuple[Any, ...]]:
    """Rows that only one of the two warehouses has."""
    left_out = f"EXCLUDE ({', '.join(sorted(leave_out))})" if leave_out else ""
    return con.execute(
        f"(SELECT * {left_out} FROM sums.{table} EXCEPT ALL SELECT * {left_out} FROM requests.{table}) UNION ALL "
        f"(SELECT * {left_out} FROM requests.{table} EXCEPT ALL SELECT * {left_out} FROM sums.{table})"
    ).fetchall()


@pytest.mark.parametrize(
    ("table", "leave_out"),
    [
        ("api_calls_daily", {"users", "read_from"}),
        ("app_activity_daily", {"users"}),
        ("app_permissions", set()),
        ("daily_metrics", set()),
        ("anomalies", set()),
        ("findings", set()),
        ("skipped_checks", set()),
        ("remediation_actions", {"affected_users", "disruption"}),  # at least so many, of sums
    ],
)
def test_sums_alone_say_the_same_as_single_requests(
    both: duckdb.DuckDBPyConnection, table: str, leave_out: set[str]
) -> None:
    # sums have no addresses: what is said about the network an app came from names fewer places; nothing else differs
    rows = different(both, table, leave_out)
    placed = [row for row in rows if "AS64502" in str(row)]
    assert [row for row in rows if row not in placed] == []
    assert len(placed) == {"findings": 2, "remediation_actions": 2}.get(table, 0)
    if table != "skipped_checks":
        assert both.execute(f"SELECT count(*) > 10 FROM sums.{table}").fetchall() == [(True,)]


def test_the_findings_from_sums_alone_are_those_of_the_answer_key(both: duckdb.DuckDBPyConnection) -> None:
    """Of the policies that stories are about; `different` compares the others with those from single requests."""
    expected = {(policy, app_id) for policy, app_id in answer_key()["expected_findings"]}
    told = {policy for policy, _ in expected}
    found = set(both.execute("SELECT DISTINCT policy_id, app_id FROM sums.findings").fetchall())
    assert {pair for pair in found if pair[0] in told} == expected


@pytest.mark.parametrize(
    ("table", "key", "column"),
    [
        ("app_activity_daily", "app_id, day, service", "users"),
        ("app_inventory", "service_principal_id", "users_30d"),
        ("app_usage_summary", "app_id", "users"),
    ],
)
def test_people_are_never_more_than_there_were(
    both: duckdb.DuckDBPyConnection, table: str, key: str, column: str
) -> None:
    query = f"""
        SELECT
            count(*) FILTER (s.{column} > r.{column}),
            count(*) FILTER (s.{column} = 0 AND r.{column} > 0),
            count(*) FILTER (s.{column} > 0)
        FROM sums.{table} AS s INNER JOIN requests.{table} AS r USING ({key})"""
    ((more, lost, known),) = both.execute(query).fetchall()
    assert (more, lost) == (0, 0)
    assert known > 10


def test_with_sums_alone_coverage_says_through_what_and_nothing_reads_single_requests(
    both: duckdb.DuckDBPyConnection,
) -> None:
    query = "SELECT status, optional, reason FROM sums.coverage WHERE source = 'api_activity'"
    ((status, optional, reason),) = both.execute(query).fetchall()
    assert (status, optional) == ("complete", False)
    assert reason == "through api_activity_sums, without addresses, clients and names of users"
    assert both.execute("SELECT count(*) FROM sums.stg_api_activity").fetchall() == [(0,)]
    assert both.execute("SELECT DISTINCT read_from FROM sums.api_calls_daily").fetchall() == [("sums",)]


# ---- reading them ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tenant() -> Iterator[SampleTenant]:
    """A small tenant."""
    with running(service_principals=SIZE) as started:
        yield started


def read(tenant: SampleTenant, home: Path, now: datetime = NOW, since: datetime | None = SINCE) -> Snapshot:
    """Extract the sums."""
    settings = Settings(home=home, endpoint=tenant.endpoint)
    return extract(settings, now=now, since=since, names=(SUMS,), credential=ReadyToken(tenant.token))


def totals(snapshot: Snapshot) -> Counter[tuple[Any, ...]]:
    """Calls, bytes and unknown sizes of each group, over all files of a reading."""
    found: Counter[tuple[Any, ...]] = Counter()
    for path in snapshot.files("call_sums_hunting"):
        for row in map(json.loads, read_lines(path)):
            names = ("Day", "ApplicationId", "EntityType", "HasUser", "TargetWorkload", "RequestMethod",
                     "ResponseStatusCode", "Endpoint")  # fmt: skip
            for measure in ("Calls", "Bytes", "BytesUnknownCalls"):
                found[measure, *(row[name] for name in names)] += row[measure] or 0
    return found


def counted(home: Path) -> list[dict[str, Any]]:
    """What is counted of a home's sums."""
    with tables(Settings(home=home), "api_calls_daily", as_of=AS_OF) as con:
        return rows(con, "SELECT * EXCLUDE (users) FROM api_calls_daily ORDER BY ALL")


def test_windows_halved_in_the_middle_of_a_day_add_up(
    tenant: SampleTenant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    week = datetime(2026, 11, 9)
    whole = read(tenant, tmp_path / "whole", since=week)
    monkeypatch.setattr(walk, "HUNTING_ROW_CAP", 300)
    cut = read(tenant, tmp_path / "cut", since=week)
    names = [path.name for path in cut.files("call_sums_hunting")]
    assert len(names) > 2 * len(whole.files("call_sums_hunting"))
    assert any("T000000-" not in name for name in names), "some windows begin within a day"
    assert totals(cut) == totals(whole)
    assert counted(tmp_path / "cut") == counted(tmp_path / "whole")


def test_the_second_run_reads_the_last_day_again_whole_and_counts_it_once(tenant: SampleTenant, tmp_path: Path) -> None:
    read(tenant, tmp_path / "weekly", now=datetime(2026, 11, 9, 9, 30))
    second = read(tenant, tmp_path / "weekly", since=None)
    state = second.sources[SUMS]
    # the first run ended at half past nine; a day of overlap leads into the 8th, and sums are read from midnight
    assert (state.from_at, state.to_at) == ("2026-11-08T00:00:00Z", "2026-11-16T00:00:00Z")
    read(tenant, tmp_path / "once")
    assert counted(tmp_path / "weekly") == counted(tmp_path / "once")


def test_a_first_run_leaves_out_the_day_of_which_the_service_has_only_a_part(
    tenant: SampleTenant, tmp_path: Path
) -> None:
    state = read(tenant, tmp_path, now=datetime(2026, 11, 15, 14, 0), since=None).sources[SUMS]
    assert state.from_at == "2026-10-17T00:00:00Z", "thirty days back is the 16th, two in the afternoon"
    with tables(Settings(home=tmp_path), "api_calls_daily", as_of=AS_OF) as con:
        assert rows(con, "SELECT min(day) AS first FROM api_calls_daily") == [{"first": date(2026, 10, 17)}]


def test_single_requests_are_read_only_when_asked_for() -> None:
    names = {source.name for source in choose_sources(())}
    assert SUMS in names
    assert "api_activity" not in names
    assert {source.name for source in choose_sources((), ("api_activity",))} == names | {"api_activity"}
    assert [source.name for source in choose_sources((SUMS,), ("api_activity",))] == ["api_activity", SUMS]


# ---- what they cover -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["not_permitted", "not_licensed", "failed"])
def test_without_sums_the_policies_that_need_calls_are_skipped_with_the_reason(tmp_path: Path, status: str) -> None:
    span = (SINCE, NOW, [])
    take(Settings(home=tmp_path), NOW, {"service_principals": [], "delegated_grants": []}, {SUMS: span}, {SUMS: status})
    snapshots = read_snapshots(Settings(home=tmp_path).raw_dir)
    coverage = {row.source: (row.status, row.reason) for row in coverage_rows(snapshots, load_sources(), {})}
    assert coverage["api_activity"][0] == status
    skipped = {policy.policy_id: why_not(policy, coverage) for policy in load_policies()}
    for name in ("unusual-data-transfer", "overprivileged-app"):
        check = skipped[name]
        assert check is not None
        assert (check.source, check.code) == ("api_activity", status)
        assert SUMS in check.reason


# ---- keeping them ----------------------------------------------------------------------------------------------------


def sum_row(at: date, number: int) -> dict[str, Any]:
    """The sum of one app's day."""
    return {
        "Day": f"{at}T00:00:00Z", "ApplicationId": f"app{number}", "EntityType": "Application", "HasUser": False,
        "TargetWorkload": "Exchange", "RequestMethod": "GET", "ResponseStatusCode": "200",
        "Endpoint": "/users/{id}/messages", "Calls": at.day + number, "Bytes": at.day * 100, "BytesUnknownCalls": 0,
        "Users": 0, "FirstAt": f"{at}T08:00:00Z", "LastAt": f"{at}T09:00:00Z",
    }  # fmt: skip


def test_pruned_sums_leave_their_totals_and_last_uses(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    first = date(2026, 7, 6)
    for week in range(19):
        start = first + timedelta(weeks=week, days=-1 if week else 0)
        end = datetime.combine(first + timedelta(weeks=week + 1), datetime.min.time())
        days = [start + timedelta(days=number) for number in range((end.date() - start).days)]
        apps = (0, 1) if week < 3 else (0,)  # app1 stopped long ago
        records = [sum_row(day, number) for day in days for number in apps]
        take(settings, end, {"service_principals": []}, {SUMS: (datetime.combine(start, end.time()), end, records)})

    def facts() -> list[list[dict[str, Any]]]:
        """What must not change."""
        with tables(settings, "app_activity_daily", "app_last_use", as_of=AS_OF) as con:
            return [rows(con, f"FROM {name}") for name in ("app_activity_daily", "app_last_use")]

    before = facts()
    assert sum(row["calls"] for row in before[0]) == sum(row["calls"] for row in before[0] if row["service"])
    pruned = prune(settings, 60, NOW)
    assert pruned.files > 5
    assert pruned.raw_from == {"api_activity": date(2026, 9, 15)}
    with tables(settings, "api_calls_daily", as_of=AS_OF) as con:
        assert rows(con, "SELECT min(day) >= DATE '2026-09-13' AS gone FROM api_calls_daily") == [{"gone": True}]
    assert facts() == before
    assert {row["app_id"] for row in before[1]} == {"app0", "app1"}
