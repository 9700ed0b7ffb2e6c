"""What goes wrong in a weekly run nobody watches: the exit code, one sentence, nothing lost, and the next run heals.

Real processes and a tenant on loopback. Kills, full disks, wrong clocks, damaged files.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import pytest
from weekly_home import MONDAY, NEXT_RUN, Home, alive, copy_of, current, ended, stages, to_build, wait_for

from appgov_lib.errors import ExitCode
from appgov_lib.sample import SampleTenant, running

pytestmark = pytest.mark.timeout(400)  # on a busy machine; alone none takes a minute


@pytest.fixture(scope="module")
def tenant() -> Iterator[SampleTenant]:
    """A small tenant; faults are set and taken back by the tests."""
    with running(service_principals=140, activity=0.2) as started:
        yield started


@pytest.fixture
def home(prepared_week: Path, tmp_path: Path, tenant: SampleTenant) -> Iterator[Home]:
    """A home of this test alone in which last week went well."""
    yield copy_of(prepared_week, tmp_path / "home", tenant)
    tenant.control("faults", {})


def test_killed_in_each_stage_and_healed(tmp_path: Path, tenant: SampleTenant) -> None:
    home = Home(tmp_path / "home", tenant)
    home.write()

    tenant.control("faults", {"delay": 0.05})
    run = home.start()
    pid = home.stage_pid("extract", run)
    wait_for(lambda: list(home.data.glob("raw/*/*/*.zst")), run)
    busy, line, said = home.run()
    assert (busy, line["exit_code"]) == (ExitCode.BUSY, ExitCode.BUSY)
    assert "appgov: Another appgov run holds tenant contoso" in said
    os.kill(pid, signal.SIGKILL)
    code, line, said = ended(run)
    tenant.control("faults", {})
    assert (code, stages(line)) == (ExitCode.INTERNAL, [("extract", "died")])
    assert said.count("appgov: The process of the stage extract was ended by signal 9") == 1
    kept = {path: path.read_bytes() for path in home.data.glob("raw/*/*/*.zst")}
    assert kept

    seen = len(home.log())
    run = home.start(now="2026-11-16T06:00:00")
    pid = home.stage_pid("build", run, seen)
    run.kill()  # the run itself: its stage must notice and end
    run.communicate()
    for _ in range(200):
        if not alive(pid):
            break
        signal.sigtimedwait([], 0.05)
    assert not alive(pid)
    assert {path: path.read_bytes() for path in kept} == kept, "what was read before the kill was not read again"
    (snapshot,) = home.data.glob("raw/extract-*")
    assert (snapshot / "manifest.json").is_file()

    seen = len(home.log())
    run = home.start(now="2026-11-16T07:00:00")
    pid = home.stage_pid("report", run, seen)
    run.terminate()  # as systemd or a container asks
    code, line, said = ended(run)
    assert code == 130
    assert "stopped in the stage report; the next run goes on there" in said
    assert stages(line)[:2] == [("extract", "nothing to do"), ("build", "done")]
    assert "earlier run did not end" in {entry["event"] for entry in home.log()[seen:]}
    assert not alive(pid)

    code, line, said = home.run(now="2026-11-16T08:00:00")
    assert (code, said) == (0, "")
    assert stages(line) == [("extract", "nothing to do"), ("build", "nothing to do"), ("report", "done")]
    again = {p: p.stat().st_mtime_ns for p in (home.path / "reports").rglob("*.html")}
    code, line, _ = home.run(now=NEXT_RUN)
    assert (code, {status for _, status in stages(line)}) == (0, {"nothing to do"})
    assert {p: p.stat().st_mtime_ns for p in (home.path / "reports").rglob("*.html")} == again


def test_a_full_disk_then_a_damaged_pointer_and_warehouse(home: Home) -> None:
    before = current(home)
    to_build(home)
    code, line, said = home.run(limit=3_000_000)  # no file may grow beyond that: the error of a full disk, for real
    assert (code, stages(line)) == (ExitCode.USAGE, [("extract", "nothing to do"), ("build", "failed")])
    assert "appgov: The disk is full; make room and run again" in said
    assert current(home) == before
    assert (home.path / "reports/contoso/latest/index.html").is_file()

    (home.data / "warehouse/current.json").write_text("{")
    before.chmod(0o600)
    before.write_bytes(b"\0" * 4096)
    code, line, _ = home.run(now=NEXT_RUN)
    assert (code, stages(line)) == (0, [("extract", "nothing to do"), ("build", "done"), ("report", "done")])
    assert current(home) != before


def test_a_disk_that_fills_up_while_reporting(home: Home) -> None:
    page = (home.path / "reports/contoso/2026-11-15/index.html").read_bytes()
    home.write("print(1)")  # a reason to report anew, and none to build
    code, line, said = home.run(limit=60_000, now=NEXT_RUN)
    assert (code, stages(line)[1:]) == (ExitCode.USAGE, [("build", "nothing to do"), ("report", "failed")])
    assert said.startswith("appgov: The disk is full; make room and run again")
    assert (home.path / "reports/contoso/2026-11-15/index.html").read_bytes() == page
    assert (home.path / "reports/contoso/latest/index.html").read_bytes() == page
    code, line, _ = home.run(now="2026-11-16T10:00:00")
    assert (code, stages(line)[1:]) == (0, [("build", "nothing to do"), ("report", "done")])


def test_reading_on_a_disk_without_room(home: Home, tmp_path: Path) -> None:
    home.more = "min_free_mb = 900000000"
    profile = home.path / "appgov.toml"
    profile.write_text(profile.read_text().replace("min_free_mb = 1\n", "min_free_mb = 900000000\n"))
    code, line, said = home.run()
    assert (code, line["stages"]) == (ExitCode.USAGE, [])
    assert "A run needs about 90000" in said
    assert "MB of free space" in said


def test_a_disk_that_fills_up_while_reading(tmp_path: Path, tenant: SampleTenant) -> None:
    """A file system of half a megabyte, where the machine lets us have one."""
    small = tmp_path / "home"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", str(small)], capture_output=True)
    if mounted.returncode:
        pytest.skip("no right to mount a small file system")
    try:
        home = Home(small, tenant)
        home.write()
        profile = small / "appgov.toml"
        profile.write_text(profile.read_text().replace("min_free_mb = 1\n", ""))
        code, _, said = home.run()
        assert (code, "needs about 500 MB" in said) == (ExitCode.USAGE, True)
        profile.write_text(profile.read_text().replace('notebooks = "suite"', 'notebooks = "suite"\nmin_free_mb = 1'))
        _, _, said = home.run("extract", "--tenant", "contoso", "--quiet", "--json")
        assert "The disk is full" in said
        subprocess.run(["mount", "-o", "remount,size=60m", str(small)], check=True)
        out = home.start("extract", "--tenant", "contoso", "--quiet", "--json", now=NEXT_RUN)
        told, _ = out.communicate(timeout=100)
        assert out.returncode == 0
        assert {state["status"] for state in json.loads(told)["sources"].values()} == {"complete"}
        assert len(list(home.data.glob("raw/extract-*"))) == 1, "it went on where it had stopped"
    finally:
        subprocess.run(["umount", "-l", str(small)], check=True)


@pytest.mark.parametrize("content", ["", "[]", '{"weeks": 3}', "\0\0"])
def test_a_damaged_record_only_costs_work(content: str, tmp_path: Path) -> None:
    from appgov_lib.settings import Settings
    from appgov_lib.weekly.record import read_record

    settings = Settings(tmp_path)
    settings.data_dir.mkdir(parents=True)
    (settings.data_dir / "weekly.json").write_text(content)
    assert read_record(settings).weeks == {}


def test_a_token_that_ran_out_a_source_refused_and_a_missed_week(home: Home, tenant: SampleTenant) -> None:
    later = "2026-11-30T05:17:00"  # the run of the 23rd never came
    said = home.start("doctor", "--tenant", "contoso", "--source", "organization", now=later).communicate(timeout=60)[1]
    assert "Last good weekly run: for the week to 2026-11-15, ended 2026-11-16T05:" in said
    assert "Warning: The weekly run is late by 1 week: the last good one was for the week to 2026-11-15" in said

    tenant.control("faults", {"expire_token_after": 1})
    code, line, said = home.run(now=later)
    assert (code, stages(line)) == (ExitCode.SIGN_IN, [("extract", "failed")])
    assert "Graph refused the token (401)" in said
    assert current(home).is_file()

    tenant.control("faults", {"forbid": "/auditLogs/directoryAudits"})
    token = {"LOOPBACK": tenant.control("token")["token"]}
    code, line, said = home.run(now=later, env=token)
    assert (code, said) == (ExitCode.PARTIAL, "")
    assert line["sentence"].startswith("Done in part: the report for the week to 2026-11-29 is written, but 1 source")
    assert line["unread"] == {"directory_audits": "not_permitted"}
    assert line["caught_up"] == ["2026-11-22"]
    assert line["sentence"].endswith(" Missed weeks made up for: 2026-11-22.")
    reports = home.path / "reports/contoso"
    assert {p.name for p in reports.glob("2026-*")} == {"2026-11-15", "2026-11-22", "2026-11-29"}
    assert (reports / "latest").resolve().name == "2026-11-29"
    assert json.loads((reports / "2026-11-22/run.json").read_text())["run"]["caught_up"] is True

    tenant.control("faults", {})
    code, line, _ = home.run(now=later, env=token)
    assert (code, stages(line)) == (0, [("extract", "done"), ("build", "done"), ("report", "done")])
    assert line["unread"] == {}


def test_a_kernel_that_dies_and_a_notebook_without_end(home: Home) -> None:
    assert MONDAY < NEXT_RUN
    for cells, seconds, says in (
        (("import os, signal; os.kill(os.getpid(), signal.SIGKILL)",), 60, "its kernel ended"),
        (("import time; time.sleep(600)",), 4, "TimeoutError"),
        (("raise ValueError('the row of ada.lovelace@contoso.example')",), 60, "ValueError"),
    ):
        home.write(*cells, seconds=seconds)
        code, line, _ = home.run(now=NEXT_RUN)
        assert (code, line["failed"]) == (ExitCode.PARTIAL, ["01_one"])
        assert "1 notebook stopped (01_one)" in line["sentence"]
        run = json.loads((home.path / "reports/contoso/2026-11-15/run.json").read_text())
        assert says in run["notebooks"][0]["error"]
        assert (home.path / "reports/contoso/2026-11-15/findings.csv").is_file()
    assert "ada.lovelace" not in json.dumps(home.log()) + json.dumps(line), "a row in an error is no matter for the log"
    home.write()
    code, line, _ = home.run(now=NEXT_RUN)
    assert (code, stages(line)[-1]) == (0, ("report", "done"))


def reads(path: Path, table: str) -> bool:
    """Whether a table of a warehouse can be read to its end."""
    try:
        with duckdb.connect(str(path), read_only=True) as con:
            con.execute(f"SELECT max(COLUMNS(*)) FROM {table}").fetchall()
    except duckdb.Error:
        return False
    return True


def overwritten(path: Path, start: int, content: bytes) -> bytes:
    """Write over a part of a file; what was there before."""
    with path.open("r+b") as handle:
        handle.seek(start)
        before = handle.read(len(content))
        handle.seek(start)
        handle.write(content[: len(before)])
    return before


def test_a_warehouse_that_is_damaged_inside(home: Home) -> None:
    """It opens, and the pointer is right; DuckDB notices when it reads the block."""
    path = current(home)
    path.chmod(0o600)
    for start in range(3 * 4096, path.stat().st_size, 262_144):  # DuckDB's blocks, after its three headers
        block = overwritten(path, start, b"\xff" * 262_144)
        if reads(path, "run_info") and not reads(path, "findings"):
            break
        overwritten(path, start, block)
    else:
        pytest.fail("no block of the findings was found")
    home.write("print(1)")  # a reason to report anew, and none to build
    code, line, _ = home.run(now=NEXT_RUN)
    assert code == ExitCode.PARTIAL
    assert "the warehouse could not be read to its end and was built anew" in line["sentence"]
    assert stages(line)[1:] == [
        ("build", "nothing to do"),
        ("report", "failed"),
        ("build", "done"),
        ("report", "done"),
    ]
    assert current(home) != path
    code, line, _ = home.run(now=NEXT_RUN)
    assert (code, {status for _, status in stages(line)}) == (0, {"nothing to do"})


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Stages are given little patience."""
    return lambda: monkeypatch.setattr("appgov_lib.weekly.supervise.GRACE", 1.0)


def test_a_stage_over_its_time_is_ended(home: Home, quick: Callable[[], None], tenant: SampleTenant) -> None:
    from datetime import datetime

    from appgov_lib.settings import Settings
    from appgov_lib.weekly.supervise import run_stage

    quick()
    home.write("import time; time.sleep(600)", seconds=500)
    settings = Settings.load("contoso", home.path)
    pids: list[int] = []
    end = run_stage(
        settings,
        "report",
        datetime(2026, 11, 16, 9),
        {"as_of": "2026-11-15", "quiet": True, "run": {}, "single": False},
        seconds=4,
        started=pids.append,
    )
    assert (end.status, end.code) == ("timed out", ExitCode.INTERNAL)
    assert "The stage report took longer than 4 seconds (budget_minutes.report)" in end.error
    assert not alive(pids[0])


def test_reading_over_its_time_closes_what_hangs_and_keeps_the_rest(tmp_path: Path, tenant: SampleTenant) -> None:
    from datetime import datetime

    from appgov_lib.extract.credentials import ReadyToken
    from appgov_lib.extract.run import extract
    from appgov_lib.settings import Settings

    tenant.control("faults", {"delay": 0.6})
    now = datetime(2026, 11, 16, 9)
    found = extract(
        Settings(tmp_path, endpoint=tenant.endpoint),
        now=now,
        names=("organization", "service_principals", "app_role_assignments"),
        credential=ReadyToken(tenant.token),
        seconds=1.5,
    )
    tenant.control("faults", {})
    ends = {name: state.status for name, state in found.sources.items()}
    assert ends["organization"] == "complete"
    assert ends["app_role_assignments"] in ("partial", "failed")
    assert "the time for reading" in found.sources["app_role_assignments"].reason
    assert (found.folder / "manifest.json").is_file()
