"""What a policy would have found in past weeks: from the readings of then, or the earliest, and never from later."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import duckdb
import nbformat
import pytest
from nbclient import NotebookClient
from snapshots import take
from tables import load_table

from appgov_lib import backtest, charts
from appgov_lib.backtest import parse_choices
from appgov_lib.errors import ConfigError, UserError
from appgov_lib.extract.snapshot import RawFile, Snapshot, SourceState
from appgov_lib.extract.sources import load_sources
from appgov_lib.runner.engine import OwnKernelManager
from appgov_lib.runner.run import kernel_environment
from appgov_lib.settings import Settings
from appgov_lib.store.past import as_known, cut_rows

FIRST, SECOND = dt.datetime(2026, 11, 9), dt.datetime(2026, 11, 16)
ROOT = Path(__file__).resolve().parent.parent


def principal(number: int, ends: str, created: str = "2025-01-01") -> dict[str, Any]:
    """A service principal with one secret."""
    key = {"keyId": f"00000000-0000-4000-8000-00000000010{number}", "endDateTime": f"{ends}T00:00:00Z"}
    return {
        "id": f"00000000-0000-4000-8000-00000000000{number}",
        "appId": f"00000000-0000-4000-8000-0000000000a{number}",
        "displayName": f"App {number}",
        "servicePrincipalType": "Application",
        "accountEnabled": True,
        "createdDateTime": f"{created}T00:00:00Z",
        "passwordCredentials": [{**key, "startDateTime": "2026-01-01T00:00:00Z"}],
    }


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Two weekly readings: App 1's secret ends on 5 December; App 2, ending on 25 November, came in between."""
    made = Settings(home=tmp_path)
    take(made, FIRST, {"service_principals": [principal(1, "2026-12-05")], "applications": []})
    both = [principal(1, "2026-12-05"), principal(2, "2026-11-25", created="2026-11-12")]
    take(made, SECOND, {"service_principals": both, "applications": []})
    return made


def told(found: Any, *columns: str) -> list[tuple[Any, ...]]:
    """Rows of a backtest, unknown as None."""
    return [tuple(row[c] for c in columns) for row in json.loads(found.to_json(orient="records"))]


def test_each_week_is_judged_from_its_own_reading_with_each_value(settings: Settings) -> None:
    given = {"days_to_expiry": [40.0, 30.0]}
    found = backtest.backtest(settings, ["expiring-credential"], weeks=3, given=given)
    # App 1 has 34, 27 and 20 days left, App 2 has 10 in the last week
    assert told(found, "week", "thresholds", "findings", "new", "apps", "state_as_of") == [
        ("2026-11-01", "days_to_expiry = 30", 0, None, 0, "2026-11-08"),
        ("2026-11-01", "days_to_expiry = 40", 1, None, 1, "2026-11-08"),
        ("2026-11-08", "days_to_expiry = 30", 1, 1, 1, "2026-11-08"),
        ("2026-11-08", "days_to_expiry = 40", 1, 0, 1, "2026-11-08"),
        ("2026-11-15", "days_to_expiry = 30", 2, 1, 2, "2026-11-15"),
        ("2026-11-15", "days_to_expiry = 40", 2, 1, 2, "2026-11-15"),
    ]


def test_what_was_made_later_is_not_found_earlier(tmp_path: Path) -> None:
    made = Settings(home=tmp_path)
    both = [principal(1, "2026-11-20"), principal(2, "2026-11-25", created="2026-11-12")]
    take(made, SECOND, {"service_principals": both, "applications": []})
    found = backtest.backtest(made, ["expiring-credential"], weeks=2)
    assert told(found, "findings", "state_as_of") == [(1, "2026-11-15"), (2, "2026-11-15")]


def test_a_policy_without_its_sources_is_skipped_and_not_zero(settings: Settings) -> None:
    found = backtest.backtest(settings, ["ownerless-app"], weeks=1)
    ((findings, new, skipped),) = told(found, "findings", "new", "skipped")
    assert (findings, new) == (None, None)
    assert "Source service_principal_owners is not collected" in skipped


def test_nothing_but_the_raw_data_is_there_afterwards(settings: Settings) -> None:
    backtest.backtest(settings, ["expiring-credential"], weeks=1)
    assert sorted(path.name for path in settings.data_dir.iterdir()) == ["backtests", "raw"]
    assert list((settings.data_dir / "backtests").iterdir()) == []


def test_a_rule_of_ones_own_that_fails_is_told_and_sees_no_file(settings: Settings) -> None:
    folder = settings.home / "policies"
    folder.mkdir()
    (folder / "policies.toml").write_text('[[policy]]\nid = "own"\ntitle = "Own"\nseverity = "low"\n')
    (folder / "own.md").write_text("# Own\n")
    raw = next(settings.raw_dir.rglob("*.zst"), None) or next(settings.raw_dir.rglob("manifest.json"))
    (folder / "own.sql").write_text(f"SELECT * FROM read_text('{raw}')")
    ((skipped,),) = told(backtest.backtest(settings, ["own"], weeks=1), "skipped")
    assert "cannot be run" in skipped
    assert "Permission" in skipped


@pytest.mark.parametrize(
    ("ids", "given", "words"),
    [
        (["nope"], {}, "There is no policy 'nope'"),
        (["unused-app"], {"days": [1.0]}, "has no threshold 'days'; it has days_unused"),
        (["unused-app"], {"days_unused": [float(n) for n in range(20)]}, "20 combinations"),
    ],
)
def test_a_mistake_is_one_sentence(settings: Settings, ids: list[str], given: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        backtest.backtest(settings, ids, weeks=1, given=given)


@pytest.mark.parametrize("text", ["days", "=3", "days=", "days=x", "days=nan", "days=1e99"])
def test_a_value_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="--set is"):
        parse_choices([text])


def test_values_are_read_by_name() -> None:
    assert parse_choices(["b=2.5", "a=1", "b=1"]) == {"a": [1], "b": [1, 2.5]}


# ---- which readings count ----


def snapshot(day: str, kind: str = "extract", **sources: SourceState) -> Snapshot:
    """A snapshot begun on `day` with one file for each bucket."""
    catalogue = load_sources()
    buckets = {catalogue[n].bucket if n in catalogue else n: (RawFile(f"{n}.zst", 1, "", ""),) for n in sources}
    return Snapshot(f"{kind}-{day}", kind, f"{day}T00:00:00Z", f"{day}T01:00:00Z", Path(day), buckets, sources)


def log(start: str, end: str) -> SourceState:
    """A log that was read whole."""
    return SourceState("complete", rows=1, from_at=f"{start}T00:00:00Z", to_at=f"{end}T00:00:00Z")


def test_the_newest_complete_reading_of_then_counts_else_the_earliest() -> None:
    readings = [
        snapshot("2026-11-02", users=SourceState("partial")),
        snapshot("2026-11-09", users=SourceState("complete")),
        snapshot("2026-11-16", users=SourceState("complete")),
    ]
    day = {end: as_known(readings, load_sources(), end).read_on["users"].isoformat() for end in map(
        dt.date.fromisoformat, ("2026-10-25", "2026-11-01", "2026-11-08", "2026-11-14", "2026-11-15"))}  # fmt: skip
    assert [day[key] for key in sorted(day)] == [
        "2026-11-08",
        "2026-11-08",
        "2026-11-08",
        "2026-11-08",
        "2026-11-15",
    ]


def test_a_log_ends_with_the_day_and_one_that_begins_later_is_not_there() -> None:
    readings = [snapshot("2026-11-16", directory_audits=log("2026-10-01", "2026-11-16"))]
    readings.append(snapshot("2026-11-20", directory_audits=log("2026-11-15", "2026-11-20")))
    past = as_known(readings, load_sources(), dt.date(2026, 11, 8))
    assert [s.sources["directory_audits"].to_at for s in past.snapshots] == ["2026-11-09T00:00:00Z"]
    imported = snapshot("2026-11-20", "import", sign_ins_diagnostic=log("2026-11-15", "2026-11-20"))
    assert as_known([imported], load_sources(), dt.date(2026, 11, 8)).snapshots == []
    assert as_known([imported], load_sources(), dt.date(2026, 11, 16)).snapshots[0].buckets


def test_rows_of_later_days_go_with_their_parts() -> None:
    con = duckdb.connect()
    load_table(con, "stg_service_principals", "service_principal_id | created_at TIMESTAMP\n"
               "s1 | 2026-11-08 23:59:59\n s2 | 2026-11-09\n s3 | -")  # fmt: skip
    load_table(con, "stg_delegated_grants", "grant_id | service_principal_id\n g1 | s1\n g2 | s2\n g3 | s3")
    load_table(con, "stg_api_activity_sums", "app_id | day DATE\n a | 2026-11-08\n a | 2026-11-09")
    cut_rows(con, dt.date(2026, 11, 8))
    for table, left in (("stg_service_principals", 2), ("stg_delegated_grants", 2), ("stg_api_activity_sums", 1)):
        assert con.execute(f"SELECT count(*) FROM {table}").fetchone() == (left,)
    assert con.execute("SELECT list(grant_id ORDER BY grant_id) FROM stg_delegated_grants").fetchone() == (
        ["g1", "g3"],
    )


# ---- what is shown ----


def rows(*findings: int | None) -> list[dict[str, Any]]:
    """One line of a backtest."""
    start = dt.date(2026, 11, 1)
    return [
        {"week": (start + dt.timedelta(7 * n)).isoformat(), "thresholds": "x = 1", "findings": value}
        for n, value in enumerate(findings)
    ]


def test_the_chart_draws_a_week_that_was_not_judged_as_a_gap() -> None:
    figure = charts.weekly_findings(rows(1, None, 3), "c")
    assert list(figure.data[0].y) == [1, None, 3]
    meta = figure.layout.meta["appgov"]
    assert meta["caption"] == "Findings in the week to 15 November 2026: x = 1: 3."
    assert meta["rows"][1] == ["2026-11-08", "not evaluated"]
    assert charts.weekly_findings(rows(None), "c").layout.meta["appgov"]["caption"].startswith("The policy was not")


def test_the_result_that_was_kept_is_what_the_notebook_shows(settings: Settings) -> None:
    found = backtest.backtest(settings, ["expiring-credential"], weeks=2)
    backtest.save(settings, found)
    again = backtest.saved_or_run(settings, "expiring-credential", 1)
    assert told(again, *found.columns) == told(found, *found.columns)
    path = backtest.result_path(settings, "expiring-credential")
    assert path.stat().st_mode & 0o077 == 0
    path.write_text("[{}]")
    with pytest.raises(UserError, match="is damaged"):
        backtest.saved_or_run(settings, "expiring-credential", 1)
    with pytest.raises(ConfigError, match="no policy"):
        backtest.result_path(settings, "../x")


def test_the_notebook_runs(settings: Settings) -> None:
    book = nbformat.read(ROOT / "notebooks" / "09_backtest.ipynb", as_version=4)
    assert all(not cell.get("outputs") for cell in book.cells)
    client = NotebookClient(book, kernel_manager_class=OwnKernelManager, timeout=50)
    client.execute(env=kernel_environment(settings))
    shown = json.dumps([cell.get("outputs") for cell in book.cells])
    assert "Findings in the week to 15 November 2026: days_to_expiry = 30: 2." in shown
