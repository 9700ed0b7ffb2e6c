"""`appgov policies`: try a rule of one's own, start one, approve an app, see which exceptions are in use."""

from __future__ import annotations

import datetime as dt
import json
import shutil
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from snapshots import take

from appgov_lib.__main__ import main
from appgov_lib.detect.baselines import load_baselines
from appgov_lib.detect.policy import HEADINGS, load_policies
from appgov_lib.detect.templates import TEMPLATES, start_policy
from appgov_lib.errors import ConfigError, ExitCode
from appgov_lib.settings import Settings
from appgov_lib.store.build import build

AS_OF = dt.date(2026, 11, 15)
SP, APP = "00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-0000000000a1"
GRAPH = "00000000-0000-4000-8000-0000000000ff"
NAME = 'Payroll "Sync"\x7f\u202e]'
KEY = {"keyId": "00000000-0000-4000-8000-000000000101", "displayName": "first", "endDateTime": "2026-11-30T00:00:00Z"}
STATES: dict[str, Any] = {
    "service_principals": [
        {
            "id": SP,
            "appId": APP,
            "displayName": NAME,
            "servicePrincipalType": "Application",
            "accountEnabled": True,
            "createdDateTime": "2025-01-01T00:00:00Z",
            "replyUrls": ["https://a.test/in"],
            "passwordCredentials": [KEY],
        },
        {"id": GRAPH, "appId": "00000003-0000-0000-c000-000000000000", "displayName": "Microsoft Graph"},
    ],
    "applications": [],
    "delegated_grants": [
        {"id": "g1", "clientId": SP, "resourceId": GRAPH, "consentType": "AllPrincipals", "scope": "Mail.Read"}
    ],
    "app_role_assignments": [],
}
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a small warehouse and an exception of each state."""
    home = tmp_path_factory.mktemp("home")
    settings = Settings(home=home)
    take(settings, dt.datetime(2026, 11, 16), STATES)
    (home / "policies").mkdir()
    texts = [
        f'[[exception]]\npolicy = "{policy}"\napp = "{app}"\nreason = "r"\napprover = "a"\nexpires = {expires}\n'
        for policy, app, expires in (
            ("expiring-credential", APP, "2026-12-31"),
            ("expiring-credential", SP, "2026-11-14"),
            ("*", "nobody", "2026-12-31"),
        )
    ]
    (home / "policies" / "exceptions.toml").write_text("\n".join(texts), encoding="utf-8")
    build(settings, AS_OF)
    return home


@pytest.fixture
def home(built: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return Path(shutil.copytree(built, tmp_path / "home"))


@pytest.fixture
def run(home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run one command; returns exit code, standard output, standard error."""

    def go(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setenv("APPGOV_HOME", str(home))
        with pytest.raises(SystemExit) as stop:
            main(list(arguments))
        out, err = capsys.readouterr()
        return int(stop.value.code or 0), out, err

    return go


def rows(answer: tuple[int, str, str]) -> Any:
    """The JSON of a command that succeeded."""
    code, out, err = answer
    assert code == 0, err
    return json.loads(out)


def test_the_state_of_every_exception_is_shown(run: Run) -> None:
    found = rows(run("policies", "exceptions", "--json"))
    assert [(row["state"], row["findings"], row["app"]) for row in found] == [
        ("expired", 1, SP),
        ("in use", 1, APP),
        ("matches nothing", 0, "nobody"),
    ]
    assert "expired" in run("policies", "exceptions")[1]


def test_a_policy_is_tried_with_another_threshold_and_day(run: Run) -> None:
    test = ("policies", "test", "expiring-credential", "--json")
    assert len(rows(run(*test))) == 1
    assert rows(run(*test, "--set", "days_to_expiry=14")) == []
    assert len(rows(run(*test, "--set", "days_to_expiry=14", "--as-of", "2026-11-16"))) == 1


RULE = """title: Owner added
logsource: {product: azure, service: auditlogs}
detection: {s: {properties.message: Add owner}, condition: s}
level: low
"""


def test_own_rules_and_sigma_rules_are_listed_and_tried(run: Run, home: Path) -> None:
    rows(run("policies", "new", "mine", "--from", "T10", "--json"))
    (home / "policies" / "sigma").mkdir()
    (home / "policies" / "sigma" / "owner.yml").write_text(RULE, encoding="utf-8")
    listed = {row["policy_id"]: row["origin"] for row in rows(run("policies", "list", "--json"))}
    assert (listed["mine"], listed["sigma-owner"], listed["unused-app"]) == ("own", "own", "built in")
    assert rows(run("policies", "test", "mine", "--json", "--set", "points=1000")) == []
    code, _, err = run("policies", "test", "sigma-owner")
    assert code == ExitCode.USAGE
    assert "Source directory_audits is not collected" in err


@pytest.mark.parametrize("template", TEMPLATES)
def test_every_template_runs_as_it_is_written(run: Run, home: Path, template: str) -> None:
    files = rows(run("policies", "new", "mine", "--from", template.lower(), "--json"))
    assert [Path(name).name for name in files] == ["mine.sql", "mine.md", "policies.toml"]
    policy = {policy.policy_id: policy for policy in load_policies(home / "policies")}["mine"]
    assert policy.status == "audit"
    assert [policy.section(heading) != "" for heading in HEADINGS] == [True] * len(HEADINGS)
    (home / "policies" / "policies.toml").write_text(
        '[[policy]]\nid = "mine"\ntitle = "Mine"\nseverity = "low"\nthresholds = '
        + json.dumps(dict(policy.thresholds)).replace(":", " =")
    )
    assert isinstance(rows(run("policies", "test", "mine", "--json")), list)


def test_a_copy_does_what_its_model_does(run: Run, home: Path) -> None:
    (home / "policies" / "policies.toml").write_text("# none yet")
    rows(run("policies", "new", "mine", "--from", "expiring-credential", "--json"))
    copied = {policy.policy_id: policy for policy in load_policies(home / "policies")}
    assert copied["mine"].thresholds == copied["expiring-credential"].thresholds
    assert copied["mine"].requires == copied["expiring-credential"].requires
    assert len(rows(run("policies", "test", "mine", "--json"))) == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["new", "unused-app"], "There is a policy 'unused-app' already"),
        (["new", "Mine"], "The id 'Mine' cannot be used"),
        (["new", "../x"], "cannot be used"),
        (["new", "mine", "--from", "T11"], "--from is 'T11'"),
        (["new", "taken"], "is there already and stays as it is"),
        (["test", "nope"], "There is no policy 'nope'"),
        (["test", "unused-app", "--set", "x"], "--set is 'x'"),
        (["test", "unused-app", "--set", "x=1"], "has no threshold 'x'"),
        (["test", "unused-app", "--set", "days_unused=1", "--set", "days_unused=2"], "policies backtest"),
        (["test", "unused-app", "--as-of", "soon"], "--as-of is 'soon'"),
        (["backtest", "nope"], "There is no policy 'nope'"),
        (["backtest"], "ID"),
        (["approve", "nobody", "--approver", "a", "--reason", "r"], "There is no app 'nobody'"),
        (["approve", APP, "--approver", " ", "--reason", "r"], "--approver is empty"),
        (["approve", APP, "--reason", "r"], "--approver"),
    ],
)
def test_a_mistake_is_one_sentence_and_changes_nothing(run: Run, home: Path, arguments: list[str], words: str) -> None:
    (home / "policies" / "taken.md").write_text("mine")
    before = {path.name: path.read_bytes() for path in (home / "policies").iterdir()}
    code, out, err = run("policies", *arguments)
    assert (code, out) == (ExitCode.USAGE, "")
    assert words in err.strip().splitlines()[-1]
    assert {path.name: path.read_bytes() for path in (home / "policies").iterdir()} == before


def test_an_app_is_approved_and_then_judged(run: Run, home: Path) -> None:
    made = rows(run("policies", "approve", APP, "--approver", "Eve", "--reason", 'It is "right"\n', "--json"))
    assert (made["permissions"], made["credentials"], made["reply_urls"]) == (1, 1, 1)
    assert "owners" not in made, "they were not read"
    file = home / "policies" / "approved.toml"
    (entry,) = tomllib.loads(file.read_text(encoding="utf-8"))["app"]
    assert (entry["app"], entry["approved_by"], entry["reason"]) == (APP, "Eve", 'It is "right"')
    assert entry["permissions"] == {f"delegated Mail.Read {GRAPH}": "Microsoft Graph"}
    assert "\u202e" not in file.read_text(encoding="utf-8")
    settings = Settings(home=home)
    build(settings, AS_OF)
    assert rows(run("policies", "test", "approved-set-changed", "--json", "--as-of", "2099-01-01")) == []
    text = file.read_text(encoding="utf-8").replace("Mail.Read", "Mail.Send")
    file.write_text(text, encoding="utf-8")
    build(settings, AS_OF)
    found = rows(run("policies", "test", "approved-set-changed", "--json", "--as-of", "2099-01-01"))
    assert [row["subject"].split()[:4] for row in found] == [
        ["added", "permission", "delegated", "Mail.Read"],
        ["removed", "permission", "delegated", "Mail.Send"],
    ]


def test_a_new_approval_replaces_the_old_one_alone(run: Run, home: Path) -> None:
    other = '[[app]]\ntenant = "other"\napp = "x"\napproved_by = "a"\napproved_on = 2026-01-01\nreason = "r"\n'
    (home / "policies" / "approved.toml").write_text(other, encoding="utf-8")
    for approver in ("Eve", "Ada"):
        assert run("policies", "approve", NAME, "--approver", approver, "--reason", "r")[0] == 0
    found = load_baselines(home / "policies")
    assert [(entry.tenant, entry.app, entry.approved_by) for entry in found] == [
        ("other", "x", "a"),
        ("sample", APP, "Ada"),
    ]


HEAD = 'tenant = "t"\napp = "a"\napproved_by = "b"\nreason = "r"\n'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[", "TOML"),
        ("app = 3", "[[app]]"),
        ("app = [3]", "[[app]]"),
        (f"[[app]]\n{HEAD}", "app 1 has no approved_on"),
        (f'[[app]]\n{HEAD}approved_on = "soon"', "approved_on is 'soon'"),
        (f"[[app]]\n{HEAD}approved_on = 2026-01-01\nby = 1", "unknown key 'by'"),
        (f"[[app]]\n{HEAD}approved_on = 2026-01-01\nowners = [1]", "owners must be a list of texts"),
        (f"[[app]]\n{HEAD}approved_on = 2026-01-01\nname = 1", "name is 1"),
        (f"[[app]]\n{HEAD}approved_on = 2026-01-01\n" * 2, "app 2: a is approved twice"),
    ],
)
def test_a_mistake_in_the_approvals_is_told_with_its_place(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "approved.toml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as error:
        load_baselines(tmp_path)
    assert words in str(error.value)


def test_nothing_is_written_where_a_name_is_taken(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    start_policy(settings, "mine", "T1")
    with pytest.raises(ConfigError, match="already"):
        start_policy(settings, "mine", "T2")
    assert "days_unused" in (tmp_path / "policies" / "mine.sql").read_text()
