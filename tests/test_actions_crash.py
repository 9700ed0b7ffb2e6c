"""A run that is killed at each of its steps: the journal tells what was done, and resume and undo both work."""

from __future__ import annotations

import hashlib
import io
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from pathlib import Path

import pytest
from changing import KINDS, clock, planned, settings, state
from filelock import FileLock

from appgov_lib.__main__ import main
from appgov_lib.actions import apply as work
from appgov_lib.actions.chosen import plan_bytes
from appgov_lib.actions.journal import FILE, Journal, all_runs, read, run_dir, runs_dir
from appgov_lib.sample import SampleTenant, running
from appgov_lib.settings import Settings

WANTED = ("disable_sign_in", "remove_scopes, whole grant", "remove_app_role")
LINES = range(1, 1 + 3 * len(WANTED))
"""Lines of the journal after which the run is killed: begin, then send, answered and verified of each."""


pytestmark = pytest.mark.changes_a_tenant


@pytest.fixture(scope="module")
def tenant() -> Iterator[SampleTenant]:
    """A small tenant that takes changes."""
    with running(seed=7, service_principals=160, writable=True) as made:
        yield made


@pytest.fixture(autouse=True)
def tokens(tenant: SampleTenant, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The reader's token and the other one; faults end with the test."""
    monkeypatch.setenv("APPGOV_ACCESS_TOKEN", tenant.token)
    monkeypatch.setenv("APPGOV_WRITE_ACCESS_TOKEN", tenant.write_token)
    yield
    tenant.control("faults", {})


def quiet(text: str) -> None:
    """Says nothing."""


def killed(here: Settings, work_: Callable[[], object], lines: int) -> None:
    """Do the work in a process of its own and kill that as soon as the journal has so many lines."""
    process = multiprocessing.get_context("fork").Process(target=work_)
    process.start()
    deadline = time.monotonic() + 40
    while time.monotonic() < deadline and process.is_alive():
        found = list(runs_dir(here).glob(f"*/{FILE}"))
        if found and found[0].read_bytes().count(b"\n") >= lines:
            break
        time.sleep(0.001)
    process.kill()
    process.join(20)
    assert process.exitcode in (-signal.SIGKILL, 0)
    time.sleep(0.1)  # what is on its way to the server still arrives


def save(tenant: SampleTenant, home: Path) -> tuple[str, ...]:
    """An approved plan file and the options that name it."""
    content = plan_bytes([planned(kind, KINDS[kind](tenant)) for kind in WANTED])
    path = home / "plan.json"
    path.write_bytes(content)
    return "apply", "--plan", str(path), "--sha256", hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("lines", LINES)
def test_killed_while_applying(tenant: SampleTenant, tmp_path: Path, lines: int):
    here, before = settings(tenant, tmp_path), state(tenant)
    actions = [planned(kind, KINDS[kind](tenant)) for kind in WANTED]
    tenant.control("faults", {"delay": 0.03})  # so that the kill falls between a request and its answer
    killed(here, lambda: work.apply(here, actions, clock=clock, tell=quiet), lines)
    tenant.control("faults", {})
    (run,) = all_runs(here)
    told = read(here, run)
    now = state(tenant)
    # what the journal says is done is done; only a step without an answer is in doubt, and it says so
    done = [step for step in told.steps if step.outcome == "done"]
    unknown = [step for step in told.steps if step.outcome == "unknown"]
    assert len(unknown) <= 1
    assert now == before or done or unknown
    if lines % 2:  # go on, then take all of it back
        if not told.ended:
            assert work.resume(here, run, clock=clock, tell=quiet).whole
        assert [step.outcome for step in read(here, run).steps] == ["done"] * len(WANTED)
    assert work.undo(here, run, clock=clock, confirm=True, tell=quiet).whole
    assert state(tenant) == before


@pytest.mark.parametrize("more", range(1, 10))
def test_killed_while_undoing(tenant: SampleTenant, tmp_path: Path, more: int):
    here, before = settings(tenant, tmp_path), state(tenant)
    actions = [planned(kind, KINDS[kind](tenant)) for kind in WANTED]
    run = work.apply(here, actions, clock=clock, tell=quiet).run
    start = (run_dir(here, run) / FILE).read_bytes().count(b"\n")
    tenant.control("faults", {"delay": 0.03})
    killed(here, lambda: work.undo(here, run, clock=clock, confirm=True, tell=quiet), start + more)
    tenant.control("faults", {})
    assert work.undo(here, run, clock=clock, confirm=True, tell=quiet).whole
    assert state(tenant) == before
    assert {step.outcome for step in read(here, run).steps} == {"undone"}


def test_an_unfinished_line_says_nothing(tenant: SampleTenant, tmp_path: Path):
    here, before = settings(tenant, tmp_path), state(tenant)
    actions = [planned(kind, KINDS[kind](tenant)) for kind in WANTED]
    run = work.apply(here, actions, clock=clock, tell=quiet).run
    path = run_dir(here, run) / FILE
    whole = path.read_bytes()
    with path.open("ab") as handle:
        handle.write(b'{"event":"undo_send","step":3')
    assert [step.outcome for step in read(here, run).steps] == ["done"] * 3
    journal, _ = Journal.reopen(here, run, clock)
    journal.close()
    assert path.read_bytes() == whole
    assert work.undo(here, run, clock=clock, confirm=True, tell=quiet).whole
    assert state(tenant) == before


def test_a_run_that_was_killed_holds_nothing(tenant: SampleTenant, tmp_path: Path):
    """The command itself, with its lock, killed by its process id while it changes the tenant."""
    here, before = settings(tenant, tmp_path), state(tenant)
    command = save(tenant, tmp_path)
    tenant.control("faults", {"delay": 0.03})
    env = {**os.environ, "APPGOV_HOME": str(tmp_path), "APPGOV_GRAPH_ENDPOINT": tenant.endpoint}
    whole = [sys.executable, "-m", "appgov_lib", "actions", *command, "--confirm", "--quiet"]
    process = subprocess.Popen(whole, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 50
    while time.monotonic() < deadline and process.poll() is None:
        found = list(runs_dir(here).glob(f"*/{FILE}"))
        if found and b'"send"' in found[0].read_bytes():
            break
        time.sleep(0.002)
    process.kill()
    process.wait(timeout=20)
    tenant.control("faults", {})
    (run,) = all_runs(here)
    code, text = said(tenant, tmp_path, "runs")
    assert (code, "broken off" in text) == (0, True)
    code, text = said(tenant, tmp_path, "apply", "--resume", run, "--confirm", "--json", "--quiet")
    assert (code, [step["outcome"] for step in json.loads(text)["steps"]]) == (0, ["done"] * 3)
    assert said(tenant, tmp_path, "undo", run, "--confirm", "--quiet")[0] == 0
    assert state(tenant) == before


def said(tenant: SampleTenant, home: Path, *words: str) -> tuple[int, str]:
    """(exit code, standard output) of one command."""
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(io.StringIO()) as text:
        patch.setenv("APPGOV_HOME", str(home))
        patch.setenv("APPGOV_GRAPH_ENDPOINT", tenant.endpoint)
        with pytest.raises(SystemExit) as end:
            main(["actions", *words])
    return int(end.value.code or 0), text.getvalue()


def test_a_run_belongs_to_one_command_at_a_time(tenant: SampleTenant, tmp_path: Path):
    here = settings(tenant, tmp_path)
    command = save(tenant, tmp_path)
    here.data_dir.mkdir(parents=True)
    with FileLock(here.data_dir / ".run.lock"):
        assert said(tenant, tmp_path, *command, "--confirm")[0] == 6
    assert all_runs(here) == []


def test_the_command_tells_the_whole_story(tenant: SampleTenant, tmp_path: Path):
    before = state(tenant)
    command = save(tenant, tmp_path)
    code, text = said(tenant, tmp_path, *command)
    assert (code, "+ accountEnabled: false" in text, "Run " in text) == (0, True, False)
    assert state(tenant) == before
    code, text = said(tenant, tmp_path, *command, "--confirm", "--json")
    found = json.loads(text)
    assert (code, [step["outcome"] for step in found["steps"]]) == (0, ["done"] * 3)
    code, text = said(tenant, tmp_path, "runs")
    assert (code, text.split("  ")[1:]) == (0, ["ended", "3 done\n"])
    assert said(tenant, tmp_path, "undo", found["run"])[1].count("would be undone") == 3
    assert said(tenant, tmp_path, "undo", found["run"], "--confirm")[0] == 0
    assert state(tenant) == before
    for wrong in (("undo", "../x"), ("apply", "--resume", found["run"]), ("apply",), ("apply", "--safe", "--confirm")):
        assert said(tenant, tmp_path, *wrong)[0] == 2
