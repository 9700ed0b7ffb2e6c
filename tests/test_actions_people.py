"""Actions about people and settings of the tenant over HTTP: every kind there and back, and whom none may touch."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest
from changing import clock, planned, settings, state
from changing_people import KINDS, OWN_POLICY, mailboxes, state_of_policies
from reading_http import get, rows

from appgov_lib.__main__ import main
from appgov_lib.actions import apply as work
from appgov_lib.actions import people
from appgov_lib.actions.chosen import from_record
from appgov_lib.actions.form import MADE
from appgov_lib.actions.forms import form_of
from appgov_lib.actions.journal import Journal, all_runs, read
from appgov_lib.actions.requests import Request
from appgov_lib.errors import ConfigError
from appgov_lib.sample import SampleTenant, running
from appgov_lib.settings import Settings

pytestmark = pytest.mark.changes_a_tenant
POLICIES = "/v1.0/policies/permissionGrantPolicies"
SOMEBODY = "11111111-1111-1111-1111-111111111111"


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


def whole(tenant: SampleTenant) -> dict[str, Any]:
    """All that any action may change."""
    return {**state(tenant), **state_of_policies(tenant)}


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "revoke_sessions"])
def test_there_and_back(tenant: SampleTenant, tmp_path: Path, kind: str):
    here, action = settings(tenant, tmp_path), planned(kind, KINDS[kind](tenant))
    before, seen = whole(tenant), len(tenant.control("requests"))
    dry = work.dry_run(here, [action])
    assert [(item.verdict, item.reason, item.reversible) for item in dry.checked] == [("ready", "", True)]
    assert all(part.diff for part in dry.checked[0].requests)
    assert {entry["method"] for entry in tenant.control("requests")[seen:]} == {"GET"}
    done = work.apply(here, [action], clock=clock, tell=quiet)
    assert (done.whole, {step["outcome"] for step in done.steps}) == (True, {"done"})
    assert whole(tenant) != before
    assert work.dry_run(here, [action]).checked[0].verdict == "already done"
    assert {row["outcome"] for row in work.undo(here, done.run, clock=clock).steps} == {"would be undone"}
    back = work.undo(here, done.run, clock=clock, confirm=True, tell=quiet)
    assert (back.stopped, {step["outcome"] for step in back.steps}) == ("", {"undone"})
    assert whole(tenant) == before
    again = work.undo(here, done.run, clock=clock, confirm=True, tell=quiet)
    assert {step["outcome"] for step in again.steps} == {"undone"}
    assert whole(tenant) == before


def test_ended_sessions_need_the_word_and_stay_ended(tenant: SampleTenant, tmp_path: Path):
    here, action = settings(tenant, tmp_path), planned("revoke_sessions", KINDS["revoke_sessions"](tenant))
    before, seen = whole(tenant), len(tenant.control("requests"))
    with pytest.raises(ConfigError, match=r"cannot be undone.*--irreversible"):
        work.apply(here, [action], clock=clock, tell=quiet)
    assert {entry["method"] for entry in tenant.control("requests")[seen:]} == {"GET"}
    assert (whole(tenant), all_runs(here)) == (before, [])
    done = work.apply(here, [action], clock=clock, irreversible=True, tell=quiet)
    assert [step["outcome"] for step in done.steps] == ["done"]
    after = whole(tenant)
    assert {name for name in after if after[name] != before[name]} == {"users"}
    back = work.undo(here, done.run, clock=clock, confirm=True, tell=quiet)
    assert ([step["outcome"] for step in back.steps], whole(tenant)) == (["cannot be undone"], after)
    # a second time is a second deed: nobody can tell whether sessions began since
    assert work.dry_run(here, [action]).checked[0].verdict == "ready"


@pytest.mark.parametrize("fault", [{"ignored": 1}, {"lost_answer": 1}])
def test_ended_sessions_are_believed_when_reading_back_shows_them(
    tenant: SampleTenant, tmp_path: Path, fault: dict[str, int]
):
    here, action = settings(tenant, tmp_path), planned("revoke_sessions", KINDS["revoke_sessions"](tenant))
    tenant.control("faults", fault)
    done = work.apply(here, [action], clock=clock, irreversible=True, tell=quiet)
    assert bool(done.stopped) == ("ignored" in fault)


def test_what_was_made_is_found_again_by_what_it_is(tenant: SampleTenant, tmp_path: Path):
    here, before = settings(tenant, tmp_path), whole(tenant)
    action = planned("narrow_consent_policy", KINDS["narrow_consent_policy"](tenant))
    tenant.control("faults", {"lost_answer": 1})
    run = work.apply(here, [action], clock=clock, tell=quiet).run
    assert read(here, run).steps[0].undo is None  # its id was in no answer
    # a run that was broken off before it knew whether the rule was taken back
    rules = get(tenant, f"{POLICIES}/{OWN_POLICY}")["includes"]
    made = next(rule["id"] for rule in rules if rule["permissionClassification"] == "low")
    gone = {"method": "DELETE", "path": f"{POLICIES}/{OWN_POLICY}/includes/{made}", "body": None}
    journal, _ = Journal.reopen(here, run, clock)
    for number in (2, 1):
        journal.write("undo_send", step=number, request=gone)
    journal.close()
    assert work.undo(here, run, clock=clock).steps[0]["outcome"] == "would be undone"
    assert work.undo(here, run, clock=clock, confirm=True, tell=quiet).whole
    assert whole(tenant) == before


LIMIT = {"displayName": "Short lives", "description": None, "isEnabled": True, "restrictions": {"keyCredentials": []}}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (POLICIES, {"id": "ours", "displayName": "'; reboot #", "description": "none"}),
        ("/v1.0/policies/appManagementPolicies", LIMIT),
    ],
)
def test_a_policy_is_made_from_a_plan_file_and_goes_again(
    tenant: SampleTenant, tmp_path: Path, path: str, body: dict[str, Any]
):
    here, before = settings(tenant, tmp_path), whole(tenant)
    request = {"method": "POST", "path": path, "body": body}
    action = from_record({"action_id": "x", "title": "By hand", "requests": [request]})
    run = work.apply(here, [action], clock=clock, tell=quiet).run
    assert body["displayName"] in {row["displayName"] for row in rows(tenant, path)}
    assert work.undo(here, run, clock=clock, confirm=True, tell=quiet).whole
    assert whole(tenant) == before


def test_a_consent_policy_with_rules_goes_only_for_good(tenant: SampleTenant, tmp_path: Path):
    here = settings(tenant, tmp_path)
    gone = {"method": "DELETE", "path": f"{POLICIES}/{OWN_POLICY}"}
    action = from_record({"action_id": "x", "title": "By hand", "requests": [gone]})
    assert work.dry_run(here, [action]).checked[0].reversible is False


def test_nobody_on_the_protected_list_is_touched(tenant: SampleTenant, tmp_path: Path):
    here, kinds = settings(tenant, tmp_path), ("revoke_sessions", "block_user", "remove_mail_rules")
    actions = [planned(kind, KINDS[kind](tenant)) for kind in kinds]
    users = {action.parts[0].request.path.split("/")[3] for action in actions}
    (tmp_path / "actions").mkdir()
    entries = [f'[[protected]]\nid = "{user.upper()}"\nreason = "break-glass"\n' for user in users]
    (tmp_path / "actions" / "protected.toml").write_text("".join(entries))
    dry = work.dry_run(here, actions)
    assert {item.verdict for item in dry.checked} == {"refused"}
    assert all("is on the protected list: break-glass" in item.reason for item in dry.checked)
    before = whole(tenant)
    assert work.apply(here, actions, clock=clock, irreversible=True, tell=quiet).run == ""
    assert (whole(tenant), all_runs(here)) == (before, [])


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PATCH", f"/v1.0/users/{SOMEBODY}", {"passwordProfile": {"password": "x"}}),
        ("PATCH", f"/v1.0/users/{SOMEBODY}", {"accountEnabled": False, "passwordProfile": {"password": "x"}}),
        ("PATCH", f"/v1.0/users/{SOMEBODY}", {"accountEnabled": "no"}),
        ("PATCH", "/v1.0/users/ada@example.org", {"accountEnabled": False}),
        ("POST", "/v1.0/users/ada@example.org/revokeSignInSessions", None),
        ("POST", f"/v1.0/users/{SOMEBODY}/revokeSignInSessions", {"x": 1}),
        ("DELETE", f"/v1.0/users/{SOMEBODY}", None),
        ("DELETE", f"/v1.0/users/{SOMEBODY}/mailFolders/inbox/messageRules/..%2F..", None),
        ("DELETE", f"/v1.0/users/{SOMEBODY}/mailFolders/inbox/messageRules/a/../b", None),
        ("DELETE", f"{POLICIES}/microsoft-user-default-low", None),
        ("POST", f"{POLICIES}/microsoft-user-default-low/includes", {"permissionType": "delegated"}),
        ("POST", POLICIES, {"id": "Microsoft-x", "displayName": "x"}),
        ("POST", f"/v1.0/applications/{SOMEBODY}/appManagementPolicies/$ref", {"@odata.id": "https://x/y"}),
        ("DELETE", f"{POLICIES}/ours/includes/{MADE}", None),
    ],
)
def test_a_request_that_is_none_of_ours_is_refused(method: str, path: str, body: Any):
    with pytest.raises(ConfigError, match="is none that appgov sends"):
        form_of(Request(method, path, body))


def test_a_rule_with_a_name_that_breaks_out_comes_back_letter_by_letter(tenant: SampleTenant, tmp_path: Path):
    here = settings(tenant, tmp_path)
    user_id, rules = next(iter(mailboxes(tenant).items()))
    hostile = next(rule for rule in rules if "Remove-Item" in rule["displayName"])
    action = planned("remove_mail_rules", (people.remove_mail_rule(user_id, hostile["id"]), None))
    run = work.apply(here, [action], clock=clock, tell=quiet).run  # nothing but its id was known to the plan
    assert read(here, run).steps[0].before["displayName"] == hostile["displayName"]  # type: ignore[index]
    assert work.undo(here, run, clock=clock, confirm=True, tell=quiet).whole
    now = get(tenant, f"/v1.0/users/{user_id}/mailFolders/inbox/messageRules")["value"]
    back = next(rule for rule in now if rule["displayName"] == hostile["displayName"])
    assert {**back, "id": 0} == {**hostile, "id": 0}


def said(here: Settings, *words: str) -> tuple[int, str]:
    """(exit code, standard output) of one `appgov actions` command."""
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(io.StringIO()) as text:
        patch.setenv("APPGOV_HOME", str(here.home))
        patch.setenv("APPGOV_GRAPH_ENDPOINT", here.endpoint)
        with pytest.raises(SystemExit) as end:
            main(["actions", *words])
    return int(end.value.code or 0), text.getvalue()


def test_rules_are_listed_chosen_approved_and_removed(tenant: SampleTenant, tmp_path: Path):
    here, before = settings(tenant, tmp_path), whole(tenant)
    user_id, rules = next(iter(mailboxes(tenant).items()))
    code, text = said(here, "mail-rules", user_id)
    assert (code, len(text.splitlines())) == (0, 3 * len(rules))
    assert json.loads(said(here, "mail-rules", user_id, "--json")[1])[0]["displayName"] == "Newsletters"
    file = str(tmp_path / "plan.json")
    code, text = said(here, "mail-rules", user_id, "--rules", rules[-1]["id"], "--save", file, "--json")
    digest = json.loads(text)["sha256"]
    assert code == 0
    code, text = said(here, "apply", "--plan", file, "--sha256", digest, "--confirm", "--json", "--quiet")
    assert (code, [step["outcome"] for step in json.loads(text)["steps"]]) == (0, ["done"])
    assert len(mailboxes(tenant)[user_id]) == len(rules) - 1
    assert said(here, "undo", json.loads(text)["run"], "--confirm", "--quiet")[0] == 0
    assert whole(tenant) == before
    for wrong in (("ada@example.org",), (user_id, "--rules", "x", "--save", file), (user_id, "--rules", "x")):
        assert said(here, "mail-rules", *wrong)[0] == 2
    assert said(here, "mail-rules", SOMEBODY)[0] != 0
