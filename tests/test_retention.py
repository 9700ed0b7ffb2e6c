"""Pruning: raw rows go, and every total, date and name that was made from them stays."""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from click.testing import CliRunner
from snapshots import rows, tables, take

import appgov_lib
from appgov_lib import cli
from appgov_lib.errors import ConfigError
from appgov_lib.extract.snapshot import SnapshotWriter, SourceState, read_snapshots
from appgov_lib.settings import Settings
from appgov_lib.store import build as build_module
from appgov_lib.store import kept, retention
from appgov_lib.store.build import build
from appgov_lib.store.retention import LEAST_DAYS, configured_days, prune

AS_OF = date(2026, 11, 15)
NOW = datetime(2026, 11, 16, 3)
FIRST = datetime(2026, 7, 6)
WEEKS = 20
RAW = {
    "stg_sign_ins", "stg_api_activity", "stg_api_activity_sums", "api_calls_daily", "api_day_sources", "check_results",
    "run_info", "coverage", "snapshots", "data_transfer_daily", "app_first_seen",
    "app_events", "app_deeds_daily",
}  # fmt: skip
"""Tables that may differ: raw rows, and what is said about them."""


def sign_in(at: datetime, number: int) -> dict[str, Any]:
    """A sign-in by one of five users; every fourth fails; only the oldest use the secret."""
    used = {"servicePrincipalCredentialKeyId": "k-old"} if at < FIRST + timedelta(days=9) else {}
    return {
        "id": f"i{at}{number}", "createdDateTime": at.isoformat() + "Z", "appId": f"app{number % 3}",
        "userId": f"u{number % 5}", "isInteractive": True, "status": {"errorCode": 50126 if number % 4 == 0 else 0},
        "ipAddress": f"192.0.2.{number % 7}", **used,
    }  # fmt: skip


def call(at: datetime, number: int) -> dict[str, Any]:
    """A call of one of two apps; one app stopped long ago."""
    return {
        "RequestId": f"q{at}{number}", "Timestamp": at.isoformat() + "Z", "EntityType": "app",
        "ApplicationId": f"app{number % 2}" if at < FIRST + timedelta(days=20) else "app0",
        "RequestMethod": "GET", "ResponseStatusCode": "429" if number % 5 == 0 else "200", "ResponseSize": number * 100,
        "RequestUri": "https://graph.microsoft.com/v1.0/users/u@x/messages",
    }  # fmt: skip


def fill(settings: Settings, weeks: int = WEEKS) -> None:
    """One extraction a week, each reading the last day of the one before again, as real ones do."""
    for week in range(weeks):
        end = FIRST + timedelta(weeks=week + 1, hours=6)  # not at midnight
        start = end - timedelta(days=8)
        times = [start + timedelta(hours=8 * n, minutes=n) for n in range(24)]
        # the same moment gives the same record, so the overlap collapses
        logs = {
            "sign_ins_interactive": (start, end, [sign_in(at, at.day * 24 + at.hour) for at in times]),
            "api_activity": (start, end, [call(at, at.day + at.hour) for at in times]),
            "directory_audits": (start, end, [{"id": f"d{week}", "activityDateTime": end.isoformat() + "Z"}]),
        }
        states = {
            "organization": [{"id": "home"}],
            "service_principals": [{"id": f"sp{n}", "appId": f"app{n}", "displayName": f"A{n}"} for n in range(3)],
            "applications": [{"id": "o0", "appId": "app0", "passwordCredentials": [{"keyId": f"k{week // 4}"}]}],
            "delegated_grants": [
                {"id": "g", "clientId": "sp0", "resourceId": "sp1", "consentType": "AllPrincipals",
                 "scope": f"S{week // 3} S{week // 5} Always"}
            ],
            "application_owners": [{"id": "o0", "owners": [{"id": f"u{week // 6}"}]}],
            "directory_role_assignments": [{"id": f"r{week // 7}", "principalId": "sp0", "roleDefinitionId": "role"}],
        }  # fmt: skip
        take(settings, end, states, logs)


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A home with twenty weeks; builds leave out detection and actions."""
    monkeypatch.setattr(build_module, "_judge", lambda *_: None)
    made = Settings(home=tmp_path)
    fill(made)
    return made


def dump(settings: Settings, days: int = 7) -> dict[str, list[tuple[Any, ...]]]:
    """Every table of a new build that pruning must leave alone."""
    with duckdb.connect(str(build(settings, AS_OF, days).path), read_only=True) as con:
        names = [row[0] for row in con.execute("SELECT table_name FROM duckdb_tables() ORDER BY 1").fetchall()]
        return {n: con.execute(f"SELECT * FROM {n} ORDER BY ALL").fetchall() for n in names if n not in RAW}


def facts(settings: Settings) -> dict[str, list[dict[str, Any]]]:
    """The tables pruning could harm, made without a whole build."""
    names = ["sign_ins_daily", "app_activity_daily", "app_last_use", "grant_history", "credential_history",
             "owner_history", "directory_role_history"]  # fmt: skip
    with tables(settings, *names, as_of=AS_OF) as con:
        return {name: rows(con, f"FROM {name}") for name in names}


def raw_files(settings: Settings) -> set[Path]:
    """All data files."""
    return set(settings.raw_dir.glob("*/*/*.zst"))


def test_every_table_is_the_same_before_and_after(settings: Settings) -> None:
    before = dump(settings)
    result = prune(settings, 60, NOW)
    assert result.raw_from == {"sign_ins": date(2026, 9, 15), "api_activity": date(2026, 9, 15)}
    assert result.files > 50
    assert dump(settings) == before
    with appgov_lib.connect(home=settings.home) as con:
        (oldest,) = con.execute("SELECT min(created_at) FROM stg_sign_ins").fetchall()[0]
        assert oldest > datetime(2026, 9, 10)  # the rows are gone indeed
        assert con.execute("SELECT min(day) FROM sign_ins_daily").fetchall() == [(date(2026, 7, 5),)]
        from_at = con.execute("SELECT DISTINCT from_at FROM coverage WHERE source = 'api_activity'").fetchall()
        assert from_at == [(datetime(2026, 9, 15),)]  # nobody may take the pruned days for silent ones


def test_pruning_again_and_again_keeps_all(settings: Settings) -> None:
    before = facts(settings)
    for keep in (100, 70, 70, 40):
        prune(settings, keep, NOW)
    assert facts(settings) == before


def test_what_is_never_dropped(settings: Settings) -> None:
    with SnapshotWriter(settings.raw_dir, "extract-20260101T000000Z", "extract", datetime(2026, 1, 1)) as unfinished:
        unfinished.write("users", [b'{"id": "u"}'], "x")
    # the newest complete reading of users is the oldest snapshot of all; a partial one follows
    take(settings, datetime(2026, 2, 1), {"users": [{"id": "u1"}, {"id": "u2"}]})
    take(settings, datetime(2026, 3, 1), {"users": [{"id": "u1"}]}, ends={"users": "partial"})
    prune(settings, LEAST_DAYS, NOW)
    left = {path.relative_to(settings.raw_dir).as_posix() for path in raw_files(settings)}
    assert "extract-20260101T000000Z/users/00001.ndjson.zst" in left
    assert "extract-20260201T000000Z/users/users-all-00001.ndjson.zst" in left
    assert "extract-20260301T000000Z/users/users-all-00001.ndjson.zst" not in left
    assert sum("/directory_audits_graph/" in path for path in left) == WEEKS
    assert sum("/delegated_grants/" in path for path in left) == retention.STATES_KEPT
    assert len(read_snapshots(settings.raw_dir)) == WEEKS + 2  # manifests stay, so an import is still known


def test_without_old_rows_nothing_happens(settings: Settings) -> None:
    before = raw_files(settings)
    assert prune(settings, 400, NOW).files == 0
    assert raw_files(settings) == before
    assert not (settings.data_dir / kept.LEDGER).exists()


def test_a_dry_run_changes_nothing_and_tells_the_truth(settings: Settings) -> None:
    before = raw_files(settings)
    told = prune(settings, 60, NOW, dry_run=True)
    assert raw_files(settings) == before
    assert sorted(p.name for p in settings.data_dir.iterdir()) == ["raw"]
    assert prune(settings, 60, NOW) == told
    assert len(before - raw_files(settings)) == told.files


@pytest.mark.parametrize("step", ["write_ledger", "_save", "unlink"])
def test_a_prune_cut_short_loses_nothing(settings: Settings, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    before = facts(settings)

    class Cut(Exception):
        """The power went."""

    calls = []

    def cut(*_: Any, **__: Any) -> None:
        calls.append(1)
        if len(calls) == 3 or step == "write_ledger":
            raise Cut
        if step == "unlink":
            real(*_, **__)

    with monkeypatch.context() as patch:
        real = Path.unlink
        patch.setattr(*((Path, "unlink") if step == "unlink" else (retention, step)), cut)
        with pytest.raises(Cut):
            prune(settings, 60, NOW)
    assert facts(settings) == before
    prune(settings, 60, NOW)
    assert facts(settings) == before
    assert len(raw_files(settings)) < 200


def test_a_late_import_of_pruned_days_is_not_counted_twice(settings: Settings) -> None:
    day = datetime(2026, 8, 3, 8)
    prune(settings, 60, NOW)
    with tables(settings, "sign_ins_daily") as con:
        before = rows(con, "FROM sign_ins_daily")
    writer = SnapshotWriter(settings.raw_dir, "import-0123456789abcdef", "import", NOW)
    records = [sign_in(day, 1), {**sign_in(day, 2), "isInteractive": None, "signInEventTypes": ["managedIdentity"]}]
    writer.write("sign_ins_graph", [json.dumps(record).encode() for record in records], "late.json")
    span = day.isoformat() + "Z"
    writer.close_source("sign_ins_graph", SourceState("complete", rows=2, from_at=span, to_at=span))
    writer.finish(NOW)
    with tables(settings, "sign_ins_daily") as con:
        added = [row for row in rows(con, "FROM sign_ins_daily") if row not in before]
    # a kind of sign-in of which no sum was kept is news
    assert [(row["day"], row["sign_in_type"], row["sign_ins"]) for row in added] == [
        (day.date(), "managed_identity", 1)
    ]


def test_people_of_pruned_days_are_unknown_not_few(settings: Settings) -> None:
    before = dump(settings, 50)["app_usage_summary"]
    prune(settings, 60, NOW)
    after = dump(settings, 50)["app_usage_summary"]
    with appgov_lib.connect(home=settings.home) as con:
        names = [row[0] for row in con.execute("DESCRIBE app_usage_summary").fetchall()]
        people = con.execute("SELECT users, users_previous FROM app_usage_summary").fetchall()
    place = names.index("users_previous")
    assert [row[:place] + row[place + 1 :] for row in after] == [row[:place] + row[place + 1 :] for row in before]
    assert all(now is not None and earlier is None for now, earlier in people)


def test_files_are_private(settings: Settings) -> None:
    prune(settings, 60, NOW)
    made = [*settings.data_dir.glob("daily/*"), *settings.data_dir.glob("history/*"), settings.data_dir / kept.LEDGER]
    assert len(made) == len(kept.DAILY) + len(kept.HISTORY) + 1
    assert {path.stat().st_mode & 0o777 for path in made} == {0o600}


def test_a_lost_sum_is_one_sentence(settings: Settings) -> None:
    prune(settings, 60, NOW)
    (settings.data_dir / "daily" / "last_uses.parquet").write_bytes(b"no parquet")
    with pytest.raises(ConfigError, match=r"last_uses\.parquet"):
        build(settings, AS_OF)
    (settings.data_dir / kept.LEDGER).write_text("[]")
    with pytest.raises(ConfigError, match=r"retention\.json"):
        build(settings, AS_OF)


def test_a_missing_raw_file_stops_the_prune(settings: Settings) -> None:
    gone = sorted(raw_files(settings))[-1]
    gone.unlink()
    left = raw_files(settings)
    with pytest.raises(ConfigError, match="nothing was pruned"):
        prune(settings, 60, NOW)
    assert raw_files(settings) == left


def test_the_setting() -> None:
    assert configured_days({}) is None
    assert configured_days({"APPGOV_RETENTION_DAYS": " 180 "}) == 180
    for wrong in ("six", "-1", "1.5", "\u0663"):
        with pytest.raises(ConfigError, match="APPGOV_RETENTION_DAYS"):
            configured_days({"APPGOV_RETENTION_DAYS": wrong})


def test_too_short_a_retention_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=str(LEAST_DAYS)):
        prune(Settings(home=tmp_path), LEAST_DAYS - 1, NOW)


def test_the_command(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APPGOV_HOME", str(settings.home))
    monkeypatch.setattr(cli, "_now", lambda: NOW)
    run = CliRunner().invoke
    before = raw_files(settings)
    assert "everything stays" in run(cli.cli, ["prune"]).output
    monkeypatch.setenv("APPGOV_RETENTION_DAYS", "60")
    told = json.loads(run(cli.cli, ["prune", "--dry-run", "--json"]).output)
    assert raw_files(settings) == before
    assert told["raw_from"] == {"api_activity": "2026-09-15", "sign_ins": "2026-09-15"}
    done = run(cli.cli, ["prune"])
    assert done.output.startswith(f"{told['files']} raw files")
    assert len(before - raw_files(settings)) == told["files"]
    assert isinstance(run(cli.cli, ["prune", "--keep-days", "3"]).exception, ConfigError)


def test_the_weekly_run_prunes_as_set(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    assert retention.prune_as_set(settings, NOW) is None
    monkeypatch.setenv("APPGOV_RETENTION_DAYS", "60")
    result = retention.prune_as_set(settings, NOW)
    assert result is not None
    assert result.files > 50
    monkeypatch.setenv("APPGOV_RETENTION_DAYS", "5")
    with pytest.raises(ConfigError, match="too short"):
        retention.prune_as_set(settings, NOW)
