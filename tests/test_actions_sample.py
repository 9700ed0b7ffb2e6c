"""The plan of the sample tenant carried out against the sample tenant, and what a weekly run does by itself."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest
from changing import clock, rows, state
from changing_people import state_of_policies

from appgov_lib.__main__ import main
from appgov_lib.action_files import write_action_files
from appgov_lib.actions import apply as work
from appgov_lib.actions import plan
from appgov_lib.actions.automatic import automatic, load_settings
from appgov_lib.actions.chosen import by_ids, safe_ones
from appgov_lib.actions.facts import split
from appgov_lib.actions.journal import all_runs
from appgov_lib.errors import ConfigError
from appgov_lib.sample import SampleTenant, running
from appgov_lib.settings import Settings
from appgov_lib.store.warehouse import connect, current_path

pytestmark = pytest.mark.changes_a_tenant


@pytest.fixture(scope="module")
def tenant() -> Iterator[SampleTenant]:
    """The tenant that the sample's warehouse was made from, writable this time."""
    with running(writable=True) as made:
        yield made


@pytest.fixture
def here(tenant: SampleTenant, sample_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A home with the sample's warehouse, and the tokens."""
    monkeypatch.setenv("APPGOV_ACCESS_TOKEN", tenant.token)
    monkeypatch.setenv("APPGOV_WRITE_ACCESS_TOKEN", tenant.write_token)
    file = current_path(Settings(home=sample_home))
    settings = Settings(home=tmp_path, endpoint=tenant.endpoint)
    settings.warehouse_dir.mkdir(parents=True)
    shutil.copy(file, settings.warehouse_dir / file.name)
    (settings.warehouse_dir / "current.json").write_text(json.dumps({"file": file.name}))
    return settings


def quiet(text: str) -> None:
    """Says nothing."""


def test_the_whole_plan_there_and_back(tenant: SampleTenant, here: Settings):
    con = connect(tenant=here.tenant, home=here.home)
    ids = [
        row[0] for row in con.execute("SELECT action_id FROM remediation_actions WHERE method IS NOT NULL").fetchall()
    ]
    kinds = con.execute(
        "SELECT count(DISTINCT action_type) FROM remediation_actions WHERE method IS NOT NULL"
    ).fetchone()
    actions = by_ids(con, ids)
    con.close()
    assert kinds[0] >= 5
    before, policies = state(tenant), state_of_policies(tenant)
    dry = work.dry_run(here, actions)
    assert {item.verdict for item in dry.checked} == {"ready"}  # the plan says how the tenant is
    done = work.apply(here, actions, clock=clock, irreversible=True, tell=quiet)
    assert (done.stopped, {step["outcome"] for step in done.steps}) == ("", {"done"})
    assert len(done.steps) == sum(len(action.parts) for action in actions) > len(actions)
    back = work.undo(here, done.run, clock=clock, confirm=True, tell=quiet)
    assert {step["outcome"] for step in back.steps} == {"undone", "cannot be undone"}
    after = state(tenant)
    gone = {name: sum(a != b for a, b in zip(before[name], after[name], strict=True)) for name in before}
    # what is not as before is the secrets alone
    secrets = sum(step["outcome"] == "cannot be undone" for step in back.steps)
    assert sum(gone.values()) == gone["applications"] + gone["servicePrincipals"] <= secrets
    now = state_of_policies(tenant)
    assert {name for name in now if now[name] != policies[name]} <= {"users"}  # whose sessions were ended


def said(here: Settings, *words: str) -> tuple[int, str]:
    """(exit code, standard output) of one `appgov actions` command."""
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(io.StringIO()) as text:
        patch.setenv("APPGOV_HOME", str(here.home))
        patch.setenv("APPGOV_GRAPH_ENDPOINT", here.endpoint)
        with pytest.raises(SystemExit) as end:
            main(["actions", *words])
    return int(end.value.code or 0), text.getvalue()


def test_from_the_plan_to_an_approved_file_and_back(here: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with running(writable=True) as own:  # the other tests' tenant has new ids already
        monkeypatch.setenv("APPGOV_ACCESS_TOKEN", own.token)
        monkeypatch.setenv("APPGOV_WRITE_ACCESS_TOKEN", own.write_token)
        approved(own, replace(here, endpoint=own.endpoint), tmp_path)


def approved(tenant: SampleTenant, here: Settings, tmp_path: Path) -> None:
    """Save, approve, compare, apply, undo."""
    before, file = state(tenant), str(tmp_path / "plan.json")
    code, text = said(here, "save", file, "--safe", "--json")
    saved = json.loads(text)
    assert (code, len(saved["actions"]) > 3) == (0, True)
    assert said(here, "apply", "--ids", ",".join(saved["actions"][:2]))[1].count("\nready") == 1
    wrong = said(here, "apply", "--plan", file, "--confirm")
    assert wrong[0] == 2
    assert said(here, "apply", "--plan", file, "--sha256", "0" * 64, "--confirm")[0] == 2
    code, text = said(here, "apply", "--plan", file, "--sha256", saved["sha256"], "--confirm", "--json", "--quiet")
    assert (code, {step["outcome"] for step in json.loads(text)["steps"]}) == (0, {"done"})
    assert said(here, "undo", json.loads(text)["run"], "--confirm", "--quiet")[0] == 0
    assert state(tenant) == before
    # what came back under a new id is not taken for gone
    code, text = said(here, "apply", "--ids", saved["actions"][0])
    assert (code, "there again under another id" in text) == (4, True)
    assert said(here, "apply", "--ids", "nothing")[0] == 2
    assert said(here, "outcomes")[1].count("open") >= len(saved["actions"])
    code, text = said(here, "outcomes", "--weekly", "--json")
    assert (code, json.loads(text)) == (0, [])


@pytest.mark.skipif(not shutil.which("sh"), reason="needs a POSIX shell")
def test_the_scripts_send_what_the_plan_holds(here: Settings, tmp_path: Path):
    con = connect(tenant=here.tenant, home=here.home)
    write_action_files(con, tmp_path / "files")
    wanted = con.execute(
        "SELECT wave, sum(json_array_length(requests)) FROM remediation_actions WHERE wave < 3 GROUP BY 1 ORDER BY 1"
    ).fetchall()
    con.close()
    shims = tmp_path / "bin"
    shims.mkdir()
    for tool in ("curl", "az"):
        (shims / tool).write_text('#!/bin/sh\nfor a in "$@"; do printf "%s\\0" "$a"; done\nprintf "\\n"\n')
        (shims / tool).chmod(0o755)
    for wave, requests in wanted:
        for kind in ("curl.sh", "az.sh"):
            (script,) = (tmp_path / "files").glob(f"wave-{wave}-*.{kind}")
            done = subprocess.run(
                ["sh", str(script)],
                env={"PATH": f"{shims}:/usr/bin:/bin", "TOKEN": "t"},
                capture_output=True,
                check=True,
            )
            calls = done.stdout.decode().splitlines()
            assert len(calls) == requests
            assert all("https://graph.microsoft.com/v1.0/" in call for call in calls)


def rule(home: Path, text: str) -> None:
    """Write what may be done automatically."""
    (home / "actions").mkdir(exist_ok=True)
    (home / "actions" / "automatic.toml").write_text(text)


def test_a_weekly_run_does_nothing_by_itself_unless_told(tenant: SampleTenant, here: Settings):
    seen = len(tenant.control("requests"))
    assert automatic(here, clock=clock, tell=quiet).whole
    rule(here.home, '[tenant.other]\nmode = "apply"\nmax_actions = 3\nallow = { unused-app = "disable_sign_in" }\n')
    assert automatic(here, clock=clock, tell=quiet).whole
    assert len(tenant.control("requests")) == seen
    assert all_runs(here) == []


def test_what_is_allowed_is_audited_first_and_then_done_up_to_the_limit(tenant: SampleTenant, here: Settings):
    con = connect(tenant=here.tenant, home=here.home)
    safe = [action for action in safe_ones(con) if action.action_type == "disable_sign_in"]
    con.close()
    assert len(safe) > 2
    text = '[tenant.sample]\nmode = "{}"\nmax_actions = 2\nallow = {{ {} = "disable_sign_in" }}\n'
    before, told = state(tenant), list[str]()
    rule(here.home, text.format("apply", "unused-app"))
    first = automatic(here, clock=clock, tell=told.append)  # never audited: it only says what it would do
    assert ("was not audited yet" in told[0], len(first.checked)) == (True, 2)
    assert (state(tenant), all_runs(here)) == (before, [])
    rule(here.home, text.format("apply", "unused-credential"))
    assert automatic(here, clock=clock, tell=quiet).checked == ()  # the kind is not what answers that policy
    rule(here.home, text.format("audit", "unused-app"))
    assert len(automatic(here, clock=clock, tell=quiet).checked) == 2
    rule(here.home, text.format("apply", "unused-app"))
    done = automatic(here, clock=clock, tell=quiet)
    assert [step["outcome"] for step in done.steps] == ["done", "done"]
    disabled = [row for row in rows(tenant, "/v1.0/servicePrincipals?$top=999") if row.get("accountEnabled") is False]
    assert {step["action_id"] for step in done.steps} <= {action.action_id for action in safe}
    assert len(disabled) >= 2
    assert work.undo(here, done.run, clock=clock, confirm=True, tell=quiet).whole
    assert state(tenant) == before


@pytest.mark.parametrize(
    "text",
    [
        "x = 1",
        "[tenant.sample]\nmode = 'on'",
        "[tenant.sample]\nmode = 'audit'\nmax_actions = 1000",
        "[tenant.sample]\nmode = 'audit'\nmax_actions = true",
        "[tenant.sample]\nmode = 'audit'\nallow = { unused-app = 'delete_everything' }",
        "[tenant.sample]\nmodus = 'audit'",
        "not toml [",
    ],
)
def test_a_file_that_is_not_clear_allows_nothing(tmp_path: Path, text: str):
    rule(tmp_path, text)
    with pytest.raises(ConfigError, match=r"automatic\.toml"):
        load_settings(Settings(home=tmp_path))


def test_a_plan_made_some_apps_at_a_time_is_the_same(sample_home, tmp_path, monkeypatch):
    shutil.copy(current_path(Settings(home=sample_home)), tmp_path / "copy.duckdb")
    with duckdb.connect(str(tmp_path / "copy.duckdb")) as con:
        planned = con.execute("FROM remediation_actions ORDER BY priority").fetchall()
        monkeypatch.setattr("appgov_lib.actions.facts.AT_ONCE", 3)
        parts = []
        monkeypatch.setattr("appgov_lib.actions.planner.split", lambda *given: parts.append(split(*given)) or parts[0])
        plan(con)
        assert parts[0] > 5
        assert con.execute("FROM remediation_actions ORDER BY priority").fetchall() == planned
