"""A run killed in the stages that follow the report, while it repairs, and while it delivers; the next one heals.

`test_weekly_faults` kills it while it reads, builds and reports.
"""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from mail_sink import mail_sink, web_sink
from weekly_home import NEXT_RUN, Home, copy_of, current, ended, stages, to_build

from appgov_lib.errors import ExitCode
from appgov_lib.sample import SampleTenant, running

pytestmark = pytest.mark.timeout(400)  # on a busy machine; alone none takes a minute
ALL = ("extract", "build", "act", "report", "prune")


@pytest.fixture(scope="module")
def tenant() -> Iterator[SampleTenant]:
    """A small tenant."""
    with running(service_principals=140, activity=0.2) as started:
        yield started


@pytest.fixture
def home(prepared_week: Path, tmp_path: Path, tenant: SampleTenant) -> Home:
    """A home of this test alone in which last week went well."""
    return copy_of(prepared_week, tmp_path / "home", tenant)


def killed(home: Home, *names: str, **options: str) -> tuple[int, dict[str, object], str]:
    """Run, and kill these stages as soon as each begins."""
    seen = len(home.log())
    run = home.start(**options)
    for name in names:
        os.kill(home.stage_pid(name, run, seen), signal.SIGKILL)
    return ended(run)


def died(stage: str) -> str:
    """What is said of a stage that was killed, without its end."""
    return f"The process of the stage {stage} was ended by signal 9, perhaps for want of memory; "


def test_killed_while_acting_and_pruning(home: Home) -> None:
    (home.path / "actions").mkdir()
    allowed = '[tenant.contoso]\nmode = "audit"\nmax_actions = 2\nallow = { unused-app = "disable_sign_in" }\n'
    (home.path / "actions" / "automatic.toml").write_text(allowed)
    home.more = "retention_days = 60\n"
    to_build(home)
    before = {path: path.read_bytes() for path in home.data.glob("raw/**/*.zst")}
    code, line, said = killed(home, "act", "prune", now=NEXT_RUN)
    assert (code, said) == (ExitCode.PARTIAL, "")
    assert stages(line) == list(zip(ALL, ("nothing to do", "done", "died", "done", "died"), strict=True))
    assert f"but automatic actions were not all carried out: {died('act')}" in line["sentence"]
    assert f"; old raw rows were not pruned: {died('prune')}" in line["sentence"]
    assert (home.path / "reports/contoso/2026-11-15/index.html").is_file()
    assert current(home)

    code, line, said = home.run(now="2026-11-16T10:00:00")
    assert (code, said) == (0, "")
    assert stages(line) == list(
        zip(ALL, ("nothing to do", "nothing to do", "done", "nothing to do", "done"), strict=True)
    )
    assert {path: path.read_bytes() for path in before} == before
    code, line, _ = home.run(now="2026-11-16T11:00:00")
    assert (code, dict(stages(line)).get("act")) == (0, None), "once is enough"


def test_killed_while_repairing(home: Home) -> None:
    (snapshot,) = home.data.glob("raw/extract-*")
    path = sorted(snapshot.glob("users/*.zst"))[0]
    path.write_bytes(path.read_bytes()[:50])
    to_build(home)
    before = current(home)
    code, line, said = killed(home, "verify", now=NEXT_RUN)
    assert (code, stages(line)[1:]) == (ExitCode.INTERNAL, [("build", "failed"), ("verify", "died")])
    assert said.startswith(f"appgov: {died('verify')}")
    assert (current(home), (home.path / "reports/contoso/latest/index.html").is_file()) == (before, True)

    code, line, _ = home.run(now="2026-11-16T10:00:00")
    assert (code, line["unread"]) == (ExitCode.PARTIAL, {})
    assert line["notes"] == [f"the damaged raw file {path.relative_to(snapshot.parent)} was set aside"]
    assert stages(line)[-2:] == [("build", "done"), ("report", "done")]


def test_killed_while_delivering(home: Home, tmp_path: Path) -> None:
    """What was delivered before is not delivered again, what was not is; the report is whole."""
    home.more = (
        '[[tenant.contoso.deliver]]\nkind = "folder"\npath = "out"\n'
        '[[tenant.contoso.deliver]]\nkind = "webhook"\nurl_env = "HOOK"\n'
    )
    home.write()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(120)
        run = home.start(now=NEXT_RUN, env={"HOOK": f"http://127.0.0.1:{silent.getsockname()[1]}/"})
        taken, _ = silent.accept()  # and never an answer
        (first,) = (home.path / "out").glob("*.json")
        run.kill()
        run.communicate(timeout=20)
        assert run.returncode == -signal.SIGKILL
        taken.close()
    when = first.stat().st_mtime_ns
    with web_sink() as web:
        home.env["HOOK"] = web.url("/")
        said = home.start("doctor", "--source", "organization", now="2026-11-16T09:30:00").communicate(timeout=90)[1]
        assert "has not ended: it is running, or was killed in the stage deliver. The next run goes on" in said
        code, line, _ = home.run(now="2026-11-16T10:00:00")
        assert (code, {status for _, status in stages(line)}) == (0, {"nothing to do"})
        assert line["delivered"] == {"folder-1": "already delivered", "webhook-2": "delivered"}
        assert (len(web.got), first.stat().st_mtime_ns) == (1, when)
        code, line, _ = home.run(now="2026-11-16T11:00:00")
        assert (code, set(line["delivered"].values()), len(web.got)) == (0, {"already delivered"}, 1)


def test_delivery_is_down(home: Home) -> None:
    """Nobody listens, where a mail and a webhook should go: tried three times each, told, and made up for."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        closed = taken.getsockname()[1]
    mail = 'kind = "smtp"\nhost = "127.0.0.1"\nsecurity = "none"\nfrom = "a@x.org"\nto = ["b@x.org"]\n'
    hook = '[[tenant.contoso.deliver]]\nkind = "webhook"\nurl_env = "HOOK"\n'
    home.more = f"[[tenant.contoso.deliver]]\n{mail}port = {closed}\n{hook}"
    home.write()
    page = (home.path / "reports/contoso/latest/index.html").read_bytes()
    code, line, said = home.run(now=NEXT_RUN, env={"HOOK": f"http://127.0.0.1:{closed}/"})
    assert (code, said) == (ExitCode.PARTIAL, "")
    assert line["sentence"].endswith("is written, but 2 deliveries failed (smtp-1, webhook-2).")
    assert line["delivered"] == {
        "smtp-1": "failed: ConnectionRefusedError while talking to the mail server",
        "webhook-2": "failed: the webhook did not take it (ConnectError)",
    }
    assert [entry["attempt"] for entry in home.log() if entry["event"] == "delivery failed"] == [1, 2, 3] * 2
    assert (home.path / "reports/contoso/latest/index.html").read_bytes() == page
    with mail_sink() as mails, web_sink() as web:
        home.more = home.more.replace(f"port = {closed}", f"port = {mails.port}")
        home.write()
        code, line, _ = home.run(now="2026-11-16T10:00:00", env={"HOOK": web.url("/")})
        assert (code, set(line["delivered"].values())) == (0, {"delivered"})
        assert (len(mails.mails), len(web.got)) == (1, 1)


def test_asked_to_end_while_delivering(home: Home) -> None:
    home.more = '[[tenant.contoso.deliver]]\nkind = "webhook"\nurl_env = "HOOK"\n'
    home.write()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(120)
        run = home.start(now=NEXT_RUN, env={"HOOK": f"http://127.0.0.1:{silent.getsockname()[1]}/"})
        taken, _ = silent.accept()
        run.terminate()
        code, line, said = ended(run)
        taken.close()
    assert (code, line["exit_code"]) == (130, 130)
    assert said == "appgov: The run was stopped in the stage deliver; the next run goes on there.\n"
    with web_sink() as web:
        code, line, _ = home.run(now="2026-11-16T10:00:00", env={"HOOK": web.url("/")})
        assert (code, line["delivered"], len(web.got)) == (0, {"webhook-1": "delivered"}, 1)


def test_two_runs_at_once(home: Home, tenant: SampleTenant) -> None:
    """Of two that start together one does the work and the other ends with a sentence, having touched nothing."""
    tenant.control("faults", {"delay": 0.02})
    try:
        first = home.start("weekly", "--again", "--json", "--quiet", now=NEXT_RUN)
        home.stage_pid("extract", first, len(home.log()))
        before = {path: path.read_bytes() for path in home.data.glob("raw/*/manifest.json")}
        began = time.monotonic()
        code, line, said = home.run("weekly", "--again", "--json", "--quiet", now=NEXT_RUN)
        assert time.monotonic() - began < 60
        assert (code, line["exit_code"], line["stages"]) == (ExitCode.BUSY, ExitCode.BUSY, [])
        assert said == f"appgov: Another appgov run holds tenant contoso in {home.path}; wait for it to end.\n"
        assert {path: path.read_bytes() for path in before} == before
        for verb in (("build",), ("report",), ("extract",), ("prune",)):
            other = home.start(*verb, "--tenant", "contoso", "--quiet")
            assert "Another appgov run holds tenant contoso" in other.communicate(timeout=60)[1]
            assert other.returncode == ExitCode.BUSY
    finally:
        tenant.control("faults", {})
    code, line, said = ended(first)
    assert (code, said, stages(line)) == (0, "", [("extract", "done"), ("build", "done"), ("report", "done")])
