"""Automatic actions end to end: a file allows a kind, the weekly run audits it, then does it, and it is undone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from changing_apps import whole
from weekly_home import Home, copy_of, stages

from appgov_lib.actions.journal import all_runs, read
from appgov_lib.sample import SampleTenant, running
from appgov_lib.sample.tenant import changes_something
from appgov_lib.settings import Settings

pytestmark = pytest.mark.changes_a_tenant
RULE = """[tenant.contoso]
mode = "{mode}"
max_actions = {most}
allow = {{ unused-app = "disable_sign_in" }}
"""


def allow(home: Home, mode: str, most: int) -> None:
    """Write what the weekly run may do."""
    (home.path / "actions").mkdir(exist_ok=True)
    (home.path / "actions" / "automatic.toml").write_text(RULE.format(mode=mode, most=most))


def week(home: Home) -> dict[str, Any]:
    """One weekly run that builds again from what is read already."""
    path = home.data / "weekly.json"
    record = json.loads(path.read_text())
    for each in record["weeks"].values():
        each.pop("built", None)
    path.write_text(json.dumps(record))
    code, line, said = home.run()
    assert code == 0, (line, said)
    return line


def undo(home: Home, run: str, *more: str) -> str:
    """What `appgov actions undo` says of a run."""
    process = home.start("actions", "undo", run, "--tenant", "contoso", "--quiet", *more)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return out


def changes(tenant: SampleTenant) -> int:
    """How many requests that change something reached the tenant."""
    found = tenant.control("requests")
    return sum(
        changes_something(each["method"], each["path"].removeprefix("/v1.0").removeprefix("/beta")) for each in found
    )


@pytest.mark.timeout(400)  # two builds; alone less than a minute
def test_audited_then_done_then_undone(prepared_week: Path, tmp_path: Path) -> None:
    with running(service_principals=140, activity=0.2, writable=True) as tenant:
        home = copy_of(prepared_week, tmp_path / "home", tenant)
        home.env = {"APPGOV_WRITE_ACCESS_TOKEN": tenant.write_token}
        settings, before = Settings(home=home.path, tenant="contoso", endpoint=tenant.endpoint), whole(tenant)

        allow(home, "audit", 2)
        line = week(home)
        assert dict(stages(line))["act"] == "done"
        audited = json.loads((settings.data_dir / "actions" / "automatic-audit.json").read_text())
        assert len(audited["would_apply"]) == 2
        assert (changes(tenant), whole(tenant), all_runs(settings)) == (0, before, [])

        allow(home, "apply", 1)
        line = week(home)
        assert dict(stages(line))["act"] == "done"
        (run,) = all_runs(settings)
        told = read(settings, run)
        assert [(step.action_id, step.outcome) for step in told.steps] == [(audited["would_apply"][0], "done")]
        assert (told.ended, changes(tenant)) == (True, 1)
        assert {name for name, rows in whole(tenant).items() if rows != before[name]} == {"servicePrincipals"}

        assert "would be undone" in undo(home, run)
        assert changes(tenant) == 1
        assert "undone" in undo(home, run, "--confirm")
        assert whole(tenant) == before
