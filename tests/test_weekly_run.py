"""The weekly run when nothing is broken: several tenants, deliveries, the log, lateness, readers, older snapshots."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest
import zstandard
from checkout import ROOT
from mail_sink import mail_sink, web_sink
from reading import Reader
from weekly_home import copy_of, stages

import appgov_lib
from appgov_lib.errors import ConfigError
from appgov_lib.extract.repair import repair
from appgov_lib.profiles import Credential, Profile
from appgov_lib.sample import SampleTenant, running
from appgov_lib.settings import Settings
from appgov_lib.weekly import log as logs
from appgov_lib.weekly.outcome import Outcome, gravest
from appgov_lib.weekly.record import Record, health, read_record

timeout = pytest.mark.timeout(400)  # on a busy machine; alone none takes a minute
NOW = datetime(2026, 11, 16, 5, 17)


@pytest.fixture(scope="module")
def tenant() -> Iterator[SampleTenant]:
    """A small tenant."""
    with running(service_principals=140, activity=0.2) as started:
        yield started


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """An empty home."""
    return Settings(tmp_path, "contoso")


# Several tenants, deliveries, the log


@timeout
def test_all_tenants_with_deliveries_and_a_page_over_them(
    prepared_week: Path, tmp_path: Path, tenant: SampleTenant
) -> None:
    """One tenant whose week is done, one that cannot sign in, one whose name tries to be markup."""
    home = copy_of(prepared_week, tmp_path / "home", tenant)
    with mail_sink() as mails, web_sink() as web:
        more = (
            '[[tenant.contoso.deliver]]\nkind = "smtp"\nhost = "127.0.0.1"\nsecurity = "none"\n'
            f'port = {mails.port}\nfrom = "a@x.org"\nto = ["b@x.org"]\nattach = true\n'
            '[[tenant.contoso.deliver]]\nkind = "webhook"\nurl_env = "HOOK"\nwhen = "change"\n'
            '[[tenant.contoso.deliver]]\nkind = "folder"\npath = "out"\n'
            f'[tenant.fabrikam]\nendpoint = "{tenant.endpoint}"\naccess_token_env = "NOT_SET"\n'
            '[[tenant.fabrikam.deliver]]\nkind = "webhook"\nurl_env = "HOOK"\n'
        )
        home.more = more
        home.write()
        home.env = {"HOOK": web.url("/h?sig=s3cret-part")}
        all_of_them = ("weekly", "--all-tenants", "--json", "--quiet")
        web.answers = [(400, {})]
        code, line, said = home.run("weekly", "--tenant", "contoso", "--json", "--quiet")
        assert (code, said) == (4, "")
        assert line["sentence"].endswith("is written, but 1 delivery failed (webhook-2).")
        assert stages(line)[-1] == ("report", "done"), "once more, as one file to attach"
        assert line["delivered"]["webhook-2"] == "failed: the webhook did not take it (HTTP 400)"
        web.got.clear()
        code, line, said = home.run(*all_of_them)
        assert (code, [one["exit_code"] for one in line["tenants"]]) == (2, [0, 2])
        assert "appgov: fabrikam: The variable NOT_SET, which appgov.toml names, is not set." in said
        good, bad = line["tenants"]
        assert {status for _, status in stages(good)} == {"nothing to do"}
        assert good["delivered"] == {
            "smtp-1": "already delivered", "webhook-2": "delivered", "folder-3": "already delivered",
        }  # fmt: skip
        assert bad["delivered"] == {"webhook-1": "delivered"}
        (mail,) = mails.mails
        page = next(mail.iter_attachments()).get_content()
        assert page.strip() == (home.path / "reports/contoso/2026-11-15/report.html").read_text().strip()
        assert [(got["json"]["tenant"], got["json"]["failed"]) for got in web.got] == [
            ("contoso", False),
            ("fabrikam", True),
        ]
        code, line, _ = home.run("weekly", "--tenant", "contoso", "--fail-on", "high", "--json", "--quiet")
        counts = line["counts"]["open_findings"]
        severe = counts["critical"] + counts["high"]
        assert severe > 5
        assert (code, line["sentence"]) == (
            1,
            "Done: the report for the week to 2026-11-15 is written; "
            f"open findings of the severity asked for: {severe}.",
        )
        _, line, _ = home.run(*all_of_them)
        assert set(line["tenants"][0]["delivered"].values()) == {"already delivered"}
        assert set(line["tenants"][1]["delivered"].values()) == {"already delivered"}
        assert (len(mails.mails), len(web.got)) == (1, 2)

    reader = Reader((home.path / "reports/index.html").read_text())
    assert "contoso/2026-11-15/index.html" in reader.links
    own = [name for name in reader.loads if name != "data:,"]
    assert own
    assert [name for name in own if not (home.path / "reports" / name).is_file()] == []
    told = {one["tenant"]: one for one in json.loads((home.path / "reports/overview.json").read_text())}
    assert (told["contoso"]["exit_code"], told["fabrikam"]["exit_code"]) == (0, 2)
    assert told["contoso"]["counts"]["open_findings"] == counts
    for path in [*home.path.rglob("*.jsonl"), *home.path.rglob("weekly.json"), *home.path.rglob("overview.json")]:
        content = path.read_text()
        assert "s3cret-part" not in content, path
        assert tenant.token not in content, path
        assert path.stat().st_mode & 0o077 == 0


def test_no_tenants_no_run(tmp_path: Path, tenant: SampleTenant) -> None:
    from appgov_lib.weekly.run import Wishes
    from appgov_lib.weekly.tenants import run_all

    with pytest.raises(ConfigError, match="names no tenants"):
        run_all(Settings(tmp_path), lambda: NOW, Wishes())


def test_the_log_rotates_and_hides_secrets(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "LARGEST", 2_000)
    monkeypatch.setenv("AZURE_CLIENT_SECRET", 'qu"ote-s3cret')
    monkeypatch.setenv("ODD_NAME", "another-s3cret")
    profile = Profile(credential=Credential(client_secret_env="ODD_NAME"))
    log = logs.RunLog(replace(settings, profile=profile), "r", lambda: NOW)
    for number in range(200):
        log("event", number=number, text='a qu"ote-s3cret b another-s3cret c')
    folder = settings.data_dir / "logs"
    assert sorted(p.name for p in folder.iterdir()) == ["weekly.jsonl", *(f"weekly.jsonl.{n}" for n in range(1, 5))]
    assert all(p.stat().st_size <= 2_000 and p.stat().st_mode & 0o077 == 0 for p in folder.iterdir())
    assert "s3cret" not in "".join(p.read_text() for p in folder.iterdir())
    assert json.loads((folder / "weekly.jsonl").read_text().splitlines()[-1])["number"] == 199


def test_run_json_says_what_the_report_was_made_of(prepared_week: Path) -> None:
    import hashlib

    report = prepared_week / "reports" / "contoso" / "2026-11-15"
    run = json.loads((report / "run.json").read_text())
    assert {"versions", "coverage", "counts", "warehouse", "suite_sha256", "seconds"} <= run.keys()
    assert [stage["stage"] for stage in run["run"]["stages"]] == ["extract", "build"]
    assert all(stage["seconds"] > 0 for stage in run["run"]["stages"])
    assert run["run"]["caught_up"] is False
    assert run["sha256"]["findings.json"] == hashlib.sha256((report / "findings.json").read_bytes()).hexdigest()


# Weeks, lateness, codes


def test_missed_weeks_are_those_since_the_first_report(settings: Settings) -> None:
    record = Record(settings.data_dir / "weekly.json", {"2026-10-04": {"report": {}}, "2026-11-08": {"snapshot": "s"}})
    record.weeks["2026-10-18"] = {"report": {}}
    wanted, lost = record.missed(date(2026, 11, 22))
    assert [day.isoformat() for day in wanted] == ["2026-10-25", "2026-11-01", "2026-11-08", "2026-11-15"]
    assert [day.isoformat() for day in lost] == ["2026-10-11"]
    assert Record(Path("x")).missed(date(2026, 11, 22)) == ([], [])


@pytest.mark.parametrize(
    ("now", "late"),
    [("2026-11-16T23:00:00", 0), ("2026-11-24T23:59:00", 0), ("2026-11-25T00:01:00", 1), ("2026-12-09T01:00:00", 3)],
)
def test_a_run_is_late_two_days_after_its_week(settings: Settings, now: str, late: int) -> None:
    record = Record(settings.data_dir / "weekly.json")
    record.last_good = {"as_of": "2026-11-15", "finished_at": "2026-11-16T05:20:00", "run_id": "r"}
    record.save()
    warnings = health(settings, datetime.fromisoformat(now)).warnings
    assert [f"late by {late} week" in text for text in warnings] == [True] * bool(late)


def test_a_run_that_never_ended_and_a_clock_are_told(settings: Settings) -> None:
    assert health(settings, NOW).warnings == ()
    record = read_record(settings)
    record.last_run = {"run_id": "r", "began_at": "2026-11-16T05:17:00", "exit_code": None, "stage": "build"}
    record.last_good = {"as_of": "2026-11-15", "finished_at": "2026-11-16T05:20:00", "run_id": "r"}
    record.save()
    assert "was killed in the stage build" in health(settings, NOW).warnings[0]
    assert "clock right?" in health(settings, datetime(2026, 11, 1)).warnings[-1]


def test_the_gravest_code_wins() -> None:
    assert gravest([0, 4, 6, 2, 3]) == 3
    assert gravest([0, 1, 0]) == 1
    assert gravest([0, 5, 3]) == 5
    assert gravest([0, 0]) == 0
    out = Outcome("t", "r", "2026-11-15", sources={"a": "complete"}, delivered={"m": "failed: x"})
    out.conclude(3)
    assert out.exit_code == 4
    assert out.sentence.endswith("but 1 delivery failed (m).")
    out = Outcome("t", "r", "2026-11-15", sources={"a": "not_permitted"})
    out.conclude(0)
    assert out.exit_code == 3


# Readers, older snapshots, the kernel


READER = """
import sys, appgov_lib
builds, reads = set(), 0
sys.stdout.write("ready\\n"); sys.stdout.flush()
import select
while not select.select([sys.stdin], [], [], 0)[0]:
    con = appgov_lib.connect(tenant="contoso")
    builds.add(con.execute("SELECT value FROM run_info WHERE key = 'build_id'").fetchall()[0][0])
    con.execute("SELECT count(*) FROM findings").fetchall()
    con.close()
    reads += 1
    select.select([sys.stdin], [], [], 0.05)
print(reads, len(builds))
"""


@timeout
def test_an_open_connection_and_three_readers_during_a_whole_run(
    prepared_week: Path, tmp_path: Path, tenant: SampleTenant
) -> None:
    home = copy_of(prepared_week, tmp_path / "home", tenant)
    analyst = appgov_lib.connect(tenant="contoso", home=home.path)
    before = analyst.execute("SELECT count(*), min(finding_id), max(reason) FROM findings").fetchall()
    env = {**os.environ, "APPGOV_HOME": str(home.path)}
    readers = [
        subprocess.Popen([sys.executable, "-c", READER], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, text=True, env=env)
        for _ in range(3)
    ]  # fmt: skip
    try:
        assert [reader.stdout.readline() for reader in readers if reader.stdout] == ["ready\n"] * 3
        run = home.start("weekly", "--again", "--json", "--quiet", now="2026-11-16T09:00:00")
        asked = 0
        while run.poll() is None:
            assert analyst.execute("SELECT count(*), min(finding_id), max(reason) FROM findings").fetchall() == before
            asked += 1
            time.sleep(0.1)
        out, err = run.communicate()
        assert (run.returncode, err) == (0, "")
        assert asked > 10
        assert [s["status"] for s in json.loads(out)["stages"]] == ["done"] * 3
        time.sleep(0.5)
    finally:
        told = [reader.communicate("stop\n", timeout=60) for reader in readers]
    for said, wrong in told:
        assert wrong == ""
        reads, builds = map(int, said.split())
        assert reads > 5
        assert builds == 2, "every reader saw the old build and the new one"
    assert analyst.execute("SELECT count(*), min(finding_id), max(reason) FROM findings").fetchall() == before
    analyst.close()


@timeout
def test_a_snapshot_and_warehouse_of_an_earlier_version_are_built_anew(tmp_path: Path) -> None:
    """A stored snapshot with the manifest that the first version wrote, and a warehouse that knew one table.

    Its data files are stored as text, so that their changes can be read; they are compressed here.
    """
    from appgov_lib.store.build import build
    from appgov_lib.store.warehouse import current_path

    stored = ROOT / "tests" / "fixtures" / "snapshots" / "first-manifest"
    settings = Settings(tmp_path, "contoso")
    shutil.copytree(stored, settings.raw_dir)
    for path in list(settings.raw_dir.rglob("*.ndjson")):
        path.with_name(f"{path.name}.zst").write_bytes(zstandard.compress(path.read_bytes()))
        path.unlink()
    assert repair(settings.raw_dir, NOW) == [], "the hashes of its manifest hold"
    settings.warehouse_dir.mkdir(parents=True)
    old = settings.warehouse_dir / "warehouse-20261109-000000000000.duckdb"
    with duckdb.connect(str(old)) as con:
        con.execute("CREATE TABLE run_info AS SELECT 'build_id' AS key, '20261109-000000000000' AS value")
    (settings.warehouse_dir / "current.json").write_text(json.dumps({"file": old.name, "build_id": "x"}))
    raw = {p: p.read_bytes() for p in settings.raw_dir.rglob("*") if p.is_file()}
    made = build(settings, date(2026, 11, 8))
    assert current_path(settings) == made.path != old
    assert {p: p.read_bytes() for p in settings.raw_dir.rglob("*") if p.is_file()} == raw
    with duckdb.connect(str(made.path), read_only=True) as con:
        apps = con.execute("SELECT display_name FROM stg_service_principals ORDER BY 1").fetchall()
        assert apps == [("Mail archive",), ("Payroll",)]
        covered = dict(con.execute("SELECT source, status FROM coverage WHERE rows > 0").fetchall())
    assert covered == {"organization": "complete", "service_principals": "complete", "directory_audits": "complete"}


def test_the_kernel_can_be_registered_for_any_jupyterlab(tmp_path: Path) -> None:
    """The command of the page, with another prefix; the kernel it writes is this Python."""
    command = next(
        line.split() for line in (ROOT / "docs/how-to/explore-with-jupyter.md").read_text().splitlines()
        if "ipykernel install" in line
    )  # fmt: skip
    assert command[:3] == ["python", "-m", "ipykernel"]
    arguments = [a for a in command[1:] if a != "--sys-prefix"] + ["--prefix", str(tmp_path)]
    subprocess.run([sys.executable, *(a.strip('"') for a in arguments)], check=True, capture_output=True)
    spec: dict[str, Any] = json.loads((tmp_path / "share/jupyter/kernels/appgov/kernel.json").read_text())
    assert spec["argv"][0] == sys.executable
    assert spec["display_name"] == "appgov"
