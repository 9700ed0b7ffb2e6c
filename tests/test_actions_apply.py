"""Carrying out actions against a tenant over HTTP: every kind there and back, refusals, surprises, what leaves."""

from __future__ import annotations

import hashlib
import json
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from changing import KINDS, change, clock, disable_sign_in, get, planned, rows, settings, state
from changing_apps import APP_KINDS
from changing_people import KINDS as KINDS_OF_PEOPLE

from appgov_lib.actions import apply as work
from appgov_lib.actions.chosen import Part, from_file, from_record, plan_bytes
from appgov_lib.actions.forms import form_of
from appgov_lib.actions.journal import FILE, all_runs, read, run_dir
from appgov_lib.actions.on_request import ON_REQUEST
from appgov_lib.actions.planner import ACTION_TYPES
from appgov_lib.actions.requests import Request
from appgov_lib.errors import ConfigError, SignInError
from appgov_lib.extract.graph import only_reads
from appgov_lib.sample import SampleTenant, running

BY_HAND = {"renew_credential", "reset_password", "review_app", "review_settings"}
SAME_REQUESTS = {"remove_expired_credentials"}  # removes secrets and certificates as remove_credential does


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


def asked(tenant: SampleTenant) -> list[dict[str, Any]]:
    """What was asked of the tenant so far."""
    found: list[dict[str, Any]] = tenant.control("requests")
    return found


def test_every_kind_with_a_request_is_tried():
    tried = {kind.split(",")[0] for kind in (*KINDS, *APP_KINDS, *KINDS_OF_PEOPLE)}
    # undo restores an app
    assert tried | BY_HAND | SAME_REQUESTS == {*ACTION_TYPES, *ON_REQUEST} - {"restore_app"}


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "remove_credential, secret"])
def test_there_and_back(tenant: SampleTenant, tmp_path: Path, kind: str):
    here, action = settings(tenant, tmp_path), planned(kind, KINDS[kind](tenant))
    before = state(tenant)
    seen = len(asked(tenant))
    dry = work.dry_run(here, [action])
    assert [(item.verdict, item.reversible) for item in dry.checked] == [("ready", True)]
    assert dry.checked[0].requests[0].diff
    assert {entry["method"] for entry in asked(tenant)[seen:]} == {"GET"}
    done = work.apply(here, [action], clock=clock, tell=quiet)
    assert (done.whole, [step["outcome"] for step in done.steps]) == (True, ["done"])
    assert state(tenant) != before
    assert work.dry_run(here, [action]).checked[0].verdict == "already done"
    assert [row["outcome"] for row in work.undo(here, done.run, clock=clock).steps] == ["would be undone"]
    back = work.undo(here, done.run, clock=clock, confirm=True, tell=quiet)
    assert (back.whole, [step["outcome"] for step in back.steps]) == (True, ["undone"])
    assert state(tenant) == before
    again = work.undo(here, done.run, clock=clock, confirm=True, tell=quiet)
    assert [step["outcome"] for step in again.steps] == ["undone"]
    assert state(tenant) == before


ALERT = {"status": "resolved", "classification": "falsePositive"}
CONSENT = {"isEnabled": False, "notifyReviewers": False, "remindersEnabled": False, "requestDurationInDays": 10}


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PATCH", "/security/alerts_v2", ALERT),
        ("PATCH", "/security/incidents", ALERT),
        ("PATCH", "/policies/defaultAppManagementPolicy", {"isEnabled": False}),
        ("PUT", "/policies/adminConsentRequestPolicy", {**CONSENT, "reviewers": []}),
    ],
)
def test_what_only_a_plan_file_asks_for(
    tenant: SampleTenant, tmp_path: Path, method: str, path: str, body: dict[str, Any]
):
    here = settings(tenant, tmp_path)
    path = f"{path}/{rows(tenant, '/v1.0' + path)[0]['id']}" if path.startswith("/security") else path
    request = {"method": method, "path": f"/v1.0{path}", "body": body}
    action = from_record({"action_id": "x", "title": "By hand", "requests": [request]})
    before = get(tenant, f"/v1.0{path}")
    done = work.apply(here, [action], clock=clock, tell=quiet)
    assert done.whole
    assert get(tenant, f"/v1.0{path}") == {**before, **body}
    assert work.undo(here, done.run, clock=clock, confirm=True, tell=quiet).whole
    assert get(tenant, f"/v1.0{path}") == before


def test_a_secret_needs_the_word_and_stays_away(tenant: SampleTenant, tmp_path: Path):
    here = settings(tenant, tmp_path)
    action = planned("remove_credential, secret", KINDS["remove_credential, secret"](tenant))
    before, seen = state(tenant), len(asked(tenant))
    assert work.dry_run(here, [action]).checked[0].reversible is False
    with pytest.raises(ConfigError, match=r"cannot be undone.*--irreversible"):
        work.apply(here, [action], clock=clock, tell=quiet)
    assert {entry["method"] for entry in asked(tenant)[seen:]} == {"GET"}
    assert (state(tenant), all_runs(here)) == (before, [])
    done = work.apply(here, [action], clock=clock, irreversible=True, tell=quiet)
    after = state(tenant)
    assert done.whole
    assert after != before
    back = work.undo(here, done.run, clock=clock, confirm=True, tell=quiet)
    assert ([step["outcome"] for step in back.steps], back.whole) == (["cannot be undone"], False)
    assert state(tenant) == after


def test_several_actions_are_undone_last_first(tenant: SampleTenant, tmp_path: Path):
    here, before = settings(tenant, tmp_path), state(tenant)
    wanted = ("disable_sign_in", "remove_scopes", "remove_app_role", "add_owner")
    actions = [planned(kind, KINDS[kind](tenant)) for kind in wanted]
    done = work.apply(here, actions, clock=clock, tell=quiet)
    assert [step["outcome"] for step in done.steps] == ["done"] * 4
    told = read(here, done.run)
    assert (told.ended, [step.outcome for step in told.steps]) == (True, ["done"] * 4)
    back = work.undo(here, done.run, clock=clock, confirm=True, tell=quiet)
    assert [step["step"] for step in back.steps] == [4, 3, 2, 1]
    assert state(tenant) == before


def test_the_journal_is_private_and_holds_no_token(tenant: SampleTenant, tmp_path: Path):
    here = settings(tenant, tmp_path)
    done = work.apply(here, [planned("disable_sign_in", disable_sign_in(tenant))], clock=clock, tell=quiet)
    path = run_dir(here, done.run) / FILE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    text = path.read_text()
    assert tenant.token not in text
    assert tenant.write_token not in text
    events = [json.loads(line)["event"] for line in text.splitlines()]
    assert events == ["begin", "send", "answered", "verified", "end"]
    assert json.loads(text.splitlines()[1])["before"] == {"accountEnabled": True}
    work.undo(here, done.run, clock=clock, confirm=True, tell=quiet)


def test_a_state_that_is_not_the_plans_is_refused(tenant: SampleTenant, tmp_path: Path):
    here, made = settings(tenant, tmp_path), KINDS["remove_scopes"](tenant)
    path = made[0].request.path.removeprefix("/v1.0")
    other = planned("disable_sign_in", disable_sign_in(tenant))
    change(tenant, "PATCH", path, {"scope": "openid Tasks.Read"})
    try:
        dry = work.dry_run(here, [other, planned("remove_scopes", made)])
        assert [item.verdict for item in dry.checked] == ["ready", "refused"]
        assert "the live state is not the plan's" in dry.checked[1].reason
        assert "Tasks.Read" in dry.checked[1].reason
        seen = len(asked(tenant))
        done = work.apply(here, [other, planned("remove_scopes", made)], clock=clock, tell=quiet)
        assert (done.run, done.whole) == ("", False)
        assert {entry["method"] for entry in asked(tenant)[seen:]} == {"GET"}  # the one that was ready neither
    finally:
        change(tenant, "PATCH", path, {"scope": made[0].undo.body["scope"]})


def test_undo_leaves_alone_what_somebody_else_changed_since(tenant: SampleTenant, tmp_path: Path):
    here, made = settings(tenant, tmp_path), KINDS["remove_scopes"](tenant)
    path, before = made[0].request.path.removeprefix("/v1.0"), state(tenant)
    done = work.apply(here, [planned("remove_scopes", made)], clock=clock, tell=quiet)
    change(tenant, "PATCH", path, {"scope": "Tasks.Read"})
    assert work.undo(here, done.run, clock=clock).steps[0]["outcome"] == "changed by somebody else since"
    back = work.undo(here, done.run, clock=clock, confirm=True, tell=quiet)
    assert "changed by somebody else" in back.stopped
    change(tenant, "PATCH", path, made[0].request.body)
    assert work.undo(here, done.run, clock=clock, confirm=True, tell=quiet).whole
    assert {**state(tenant), "oauth2PermissionGrants": 0} == {**before, "oauth2PermissionGrants": 0}


# Surprises


def test_an_answer_that_is_not_true_stops_the_run(tenant: SampleTenant, tmp_path: Path):
    here, before = settings(tenant, tmp_path), state(tenant)
    actions = [planned(kind, KINDS[kind](tenant)) for kind in ("disable_sign_in", "remove_app_role")]
    tenant.control("faults", {"ignored": 1})
    done = work.apply(here, actions, clock=clock, tell=quiet)
    assert "answered as done, and reading back shows that it is not" in done.stopped
    assert [step["outcome"] for step in done.steps] == ["stopped"]
    assert read(here, done.run).stopped == done.stopped
    tenant.control("faults", {})
    assert state(tenant) == before
    assert work.resume(here, done.run, clock=clock, tell=quiet).whole
    assert work.undo(here, done.run, clock=clock, confirm=True, tell=quiet).whole
    assert state(tenant) == before


def test_a_lost_answer_is_looked_up_not_guessed(tenant: SampleTenant, tmp_path: Path):
    here, before = settings(tenant, tmp_path), state(tenant)
    wanted = ("disable_sign_in", "remove_scopes, whole grant", "add_owner")
    actions = [planned(kind, KINDS[kind](tenant)) for kind in wanted]
    tenant.control("faults", {"lost_answer": 1})
    seen = len(asked(tenant))
    done = work.apply(here, actions, clock=clock, tell=quiet)
    assert done.whole
    changes = [entry for entry in asked(tenant)[seen:] if entry["method"] != "GET"]
    assert len(changes) == 3  # none was sent twice
    assert work.undo(here, done.run, clock=clock, confirm=True, tell=quiet).whole
    assert state(tenant) == before


def test_throttling_and_broken_servers_are_waited_out(tenant: SampleTenant, tmp_path: Path):
    here, before = settings(tenant, tmp_path), state(tenant)
    wanted = ("disable_sign_in", "remove_scopes", "remove_app_role", "add_owner")
    actions = [planned(kind, KINDS[kind](tenant)) for kind in wanted]
    tenant.control("faults", {"throttle": 0.2, "error": 0.1, "reset": 0.1})
    done = work.apply(here, actions, clock=clock, tell=quiet)
    tenant.control("faults", {})
    if not done.whole:
        done = work.resume(here, done.run, clock=clock, tell=quiet)
    assert work.undo(here, done.run, clock=clock, confirm=True, tell=quiet).whole
    assert state(tenant) == before


# Protection and sign-in


def protect(home: Path, text: str) -> None:
    """Write the protected list."""
    (home / "actions").mkdir()
    (home / "actions" / "protected.toml").write_text(text)


def test_protected_apps_and_people_are_never_touched(tenant: SampleTenant, tmp_path: Path):
    made, owner = disable_sign_in(tenant), KINDS["add_owner"](tenant)
    person = owner[0].request.body["@odata.id"].rsplit("/", 1)[-1]
    entries = (f'[[protected]]\nid = "{key}"\nreason = "in case of fire"\n' for key in (made[1]["appId"], person))
    protect(tmp_path, "".join(entries))
    here = settings(tenant, tmp_path)
    actions = [planned("disable_sign_in", made), planned("add_owner", owner)]
    before, seen = state(tenant), len(asked(tenant))
    dry = work.dry_run(here, actions)
    assert [item.verdict for item in dry.checked] == ["refused", "refused"]
    assert all("is on the protected list: in case of fire" in item.reason for item in dry.checked)
    assert not work.apply(here, actions, clock=clock, tell=quiet).whole
    assert {entry["method"] for entry in asked(tenant)[seen:]} == {"GET"}
    assert state(tenant) == before


def test_microsofts_apps_and_our_own_are_never_touched(
    tenant: SampleTenant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from changing import GRAPH_APP, requests, service_principal

    graph = service_principal(tenant, GRAPH_APP)
    made = disable_sign_in(tenant)
    monkeypatch.setenv("AZURE_CLIENT_ID", made[1]["appId"].upper())
    actions = [planned("disable_sign_in", (requests.disable_sign_in(graph["id"], True), graph))]
    actions.append(planned("disable_sign_in", made))
    dry = work.dry_run(settings(tenant, tmp_path), actions)
    assert [item.verdict for item in dry.checked] == ["refused", "refused"]
    assert ["Microsoft's own app" in dry.checked[0].reason, "is the app that reads" in dry.checked[1].reason] == [
        True
    ] * 2


@pytest.mark.parametrize(
    "kind", ["disable_sign_in", "remove_scopes", "remove_app_role", "remove_directory_role", "add_owner"]
)
def test_a_request_cannot_slip_another_app_in(tenant: SampleTenant, tmp_path: Path, kind: str):
    wanted, app = KINDS[kind](tenant)
    others = rows(tenant, "/v1.0/servicePrincipals?$top=999")
    other = next(row for row in others if row["id"] != app["id"] and row.get("servicePrincipalType") == "Application"
                 and "f8cdef31" not in str(row["appOwnerOrganizationId"]))  # fmt: skip
    dry = work.dry_run(settings(tenant, tmp_path), [planned(kind, (wanted, other))])
    assert (dry.checked[0].verdict, dry.checked[0].reason) == (
        "refused",
        "the request is about another app than the action",
    )


@pytest.mark.parametrize("text", ["[[protected]]\nid = 'x'\n", "not toml [", "protected = 3\n", "[[protekted]]\n"])
def test_a_protected_list_that_cannot_be_read_stops_everything(tenant: SampleTenant, tmp_path: Path, text: str):
    protect(tmp_path, text)
    with pytest.raises(ConfigError, match=r"protected\.toml"):
        work.dry_run(settings(tenant, tmp_path), [planned("disable_sign_in", disable_sign_in(tenant))])


def test_changes_need_a_sign_in_of_their_own(tenant: SampleTenant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    here, actions = settings(tenant, tmp_path), [planned("disable_sign_in", disable_sign_in(tenant))]
    seen = len(asked(tenant))
    monkeypatch.setenv("APPGOV_WRITE_ACCESS_TOKEN", tenant.token)
    with pytest.raises(ConfigError, match="the token that reads"):
        work.apply(here, actions, clock=clock, tell=quiet)
    monkeypatch.delenv("APPGOV_WRITE_ACCESS_TOKEN")
    with pytest.raises(SignInError, match="APPGOV_WRITE_ACCESS_TOKEN"):
        work.apply(here, actions, clock=clock, tell=quiet)
    assert asked(tenant)[seen:] == []


# Plans and requests


def test_an_approved_file_is_taken_with_its_hash_alone(tenant: SampleTenant, tmp_path: Path):
    actions = [planned(kind, KINDS[kind](tenant)) for kind in ("disable_sign_in", "remove_app_role")]
    path = tmp_path / "plan.json"
    path.write_bytes(plan_bytes(actions))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert from_file(path, digest.upper()) == actions
    path.write_bytes(path.read_bytes().replace(b"false", b"true "))
    for wrong in (digest, ""):
        with pytest.raises(ConfigError, match="not the approved one"):
            from_file(path, wrong)


@pytest.mark.parametrize(
    "request_",
    [
        {
            "method": "PATCH",
            "path": "/v1.0/users/11111111-1111-1111-1111-111111111111",
            "body": {"passwordProfile": {"password": "x"}},
        },
        {"method": "DELETE", "path": "/v1.0/users/11111111-1111-1111-1111-111111111111", "body": None},
        {"method": "PATCH", "path": "/v1.0/servicePrincipals/11111111-1111-1111-1111-111111111111/../x", "body": {}},
        {"method": "DELETE", "path": "/v1.0/oauth2PermissionGrants/..", "body": None},
        {"method": "DELETE", "path": "/v1.0/oauth2PermissionGrants/a?x=1", "body": None},
        {"method": "POST", "path": "/v1.0/$batch", "body": {"requests": []}},
        {
            "method": "PATCH",
            "path": "/v1.0/applications/11111111-1111-1111-1111-111111111111",
            "body": {"passwordCredentials": []},
        },
        {"method": "POST", "path": "/v1.0/oauth2PermissionGrants", "body": {"clientId": "' or 1 eq 1"}},
    ],
)
def test_a_plan_carries_no_foreign_request(request_: dict[str, Any]):
    with pytest.raises(ConfigError, match="none that appgov sends"):
        from_record({"action_id": "x", "requests": [request_]})


def test_a_client_that_reads_cannot_be_made_to_change():
    batch = json.dumps({"requests": [{"id": "1", "method": "GET", "url": "/x"}]}).encode()
    worse = json.dumps({"requests": [{"id": "1", "method": "DELETE", "url": "/x"}]}).encode()
    assert only_reads("GET", "https://g/v1.0/applications")
    assert only_reads("POST", "https://g/v1.0/security/runHuntingQuery", b"{}")
    assert only_reads("POST", "https://g/v1.0/$batch", batch)
    assert not only_reads("POST", "https://g/v1.0/$batch", worse)
    assert not only_reads("POST", "https://g/v1.0/applications/x/removePassword", b"{}")
    assert not any(only_reads(method, "https://g/v1.0/applications/x") for method in ("PATCH", "DELETE", "PUT"))


def test_the_state_of_an_action_leads_to_its_undo(tenant: SampleTenant):
    for kind, make in KINDS.items():
        wanted, _ = make(tenant)
        if wanted.undo is not None:
            assert form_of(wanted.undo), kind
        assert Part(Request(wanted.request.method, wanted.request.path, wanted.request.body), wanted.state)
