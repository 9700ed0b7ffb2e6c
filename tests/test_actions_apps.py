"""Actions about an app as a whole, there and back against the writable sample tenant, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from changing import GRAPH_APP, change, clock, get, rows, service_principal, settings
from changing_apps import APP_KINDS, FOR_GOOD, STAYS, action_of, whole

from appgov_lib.actions import app_requests
from appgov_lib.actions import apply as work
from appgov_lib.actions.chosen import Part, from_record
from appgov_lib.actions.journal import read
from appgov_lib.errors import ConfigError
from appgov_lib.sample import SampleTenant, running

pytestmark = pytest.mark.changes_a_tenant
BOTH_WAYS = [kind for kind in APP_KINDS if kind not in FOR_GOOD]


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


def without(found: dict[str, list[str]], kind: str) -> dict[str, list[str]]:
    """A state without what Graph does not bring back for a kind."""
    return {name: texts for name, texts in found.items() if name not in STAYS.get(kind, ())}


@pytest.mark.parametrize("kind", BOTH_WAYS)
def test_there_and_back(tenant: SampleTenant, tmp_path: Path, kind: str):
    here, action = settings(tenant, tmp_path), action_of(kind, APP_KINDS[kind](tenant))
    before, seen = whole(tenant), len(tenant.control("requests"))
    dry = work.dry_run(here, [action])
    assert [(item.verdict, item.reversible) for item in dry.checked] == [("ready", True)]
    assert dry.checked[0].requests[0].diff
    assert {entry["method"] for entry in tenant.control("requests")[seen:]} == {"GET"}
    done = work.apply(here, [action], clock=clock, tell=quiet)
    assert (done.stopped, [step["outcome"] for step in done.steps]) == ("", ["done"])
    assert without(whole(tenant), kind) != without(before, kind) or kind in STAYS
    assert whole(tenant) != before
    assert work.dry_run(here, [action]).checked[0].verdict == "already done"
    assert [row["outcome"] for row in work.undo(here, done.run, clock=clock).steps] == ["would be undone"]
    back = work.undo(here, done.run, clock=clock, confirm=True, tell=quiet)
    assert (back.stopped, [step["outcome"] for step in back.steps]) == ("", ["undone"])
    assert without(whole(tenant), kind) == without(before, kind)
    again = work.undo(here, done.run, clock=clock, confirm=True, tell=quiet)
    assert [step["outcome"] for step in again.steps] == ["undone"]
    assert without(whole(tenant), kind) == without(before, kind)


@pytest.mark.parametrize("kind", BOTH_WAYS)
def test_a_lost_answer_is_looked_up(tenant: SampleTenant, tmp_path: Path, kind: str):
    here, action, before = settings(tenant, tmp_path), action_of(kind, APP_KINDS[kind](tenant)), whole(tenant)
    if kind == "confirm_compromised":
        action = replace(action, parts=(Part(action.parts[0].request, {}),))
    tenant.control("faults", {"lost_answer": 1})
    seen = len(tenant.control("requests"))
    done = work.apply(here, [action], clock=clock, tell=quiet)
    assert done.whole
    assert len([entry for entry in tenant.control("requests")[seen:] if entry["method"] != "GET"]) == 1
    back = work.undo(here, done.run, clock=clock, confirm=True, tell=quiet)
    assert (back.whole, read(here, done.run).steps[0].outcome) == (True, "undone")
    assert without(whole(tenant), kind) == without(before, kind)


def test_a_confirmed_risk_goes_to_dismissed_and_not_back(tenant: SampleTenant, tmp_path: Path):
    here = settings(tenant, tmp_path)
    sp = service_principal(tenant, rows(tenant, "/v1.0/applications?$top=5")[0]["appId"])
    made = (app_requests.confirm_compromised(sp["id"]), sp)  # nobody held it to be at risk
    done = work.apply(here, [action_of("confirm_compromised", made)], clock=clock, tell=quiet)
    told = get(tenant, f"/v1.0/identityProtection/riskyServicePrincipals/{sp['id']}")
    assert (told["riskState"], told["riskLevel"]) == ("confirmedCompromised", "high")
    assert work.undo(here, done.run, clock=clock, confirm=True, tell=quiet).whole
    told = get(tenant, f"/v1.0/identityProtection/riskyServicePrincipals/{sp['id']}")
    assert (told["riskState"], told["riskLevel"]) == ("dismissed", "none")


@pytest.mark.parametrize("kind", FOR_GOOD)
def test_what_is_for_good_needs_the_word(tenant: SampleTenant, tmp_path: Path, kind: str):
    here, made = settings(tenant, tmp_path), APP_KINDS[kind](tenant) if kind != "dismiss_risk" else None
    if made is None:
        risky = rows(tenant, "/v1.0/identityProtection/riskyServicePrincipals")[-1]
        change(tenant, "POST", "/identityProtection/riskyServicePrincipals/confirmCompromised",
               {"servicePrincipalIds": [risky["id"]]})  # fmt: skip
        made = (app_requests.dismiss_risk(risky["id"], "confirmedCompromised"), risky)
    action, before = action_of(kind, made), whole(tenant)
    assert work.dry_run(here, [action]).checked[0].reversible is False
    with pytest.raises(ConfigError, match=r"cannot be undone.*--irreversible"):
        work.apply(here, [action], clock=clock, tell=quiet)
    assert whole(tenant) == before
    done = work.apply(here, [action], clock=clock, irreversible=True, tell=quiet)
    after = whole(tenant)
    assert (done.whole, after != before) == (True, True)
    back = work.undo(here, done.run, clock=clock, confirm=True, tell=quiet)
    assert ([step["outcome"] for step in back.steps], back.whole) == (["cannot be undone"], False)
    assert whole(tenant) == after


def test_only_what_is_deleted_already_goes_for_good(tenant: SampleTenant, tmp_path: Path):
    here, sp = settings(tenant, tmp_path), APP_KINDS["delete_app"](tenant)[1]
    purge = action_of("purge_app", (app_requests.purge_object(sp["id"], sp["appId"]), sp))
    before, seen = whole(tenant), len(tenant.control("requests"))
    done = work.apply(here, [purge], clock=clock, irreversible=True, tell=quiet)
    assert [step["outcome"] for step in done.steps] == ["already done"]  # nothing of this id lies there
    assert {entry["method"] for entry in tenant.control("requests")[seen:]} == {"GET"}
    assert whole(tenant) == before


def test_a_deleted_app_that_went_for_good_does_not_come_back(tenant: SampleTenant, tmp_path: Path):
    with running(seed=11, service_principals=160, writable=True) as own, pytest.MonkeyPatch.context() as patch:
        patch.setenv("APPGOV_ACCESS_TOKEN", own.token)
        patch.setenv("APPGOV_WRITE_ACCESS_TOKEN", own.write_token)
        here, made = settings(own, tmp_path), APP_KINDS["delete_app"](own)
        done = work.apply(here, [action_of("delete_app", made)], clock=clock, tell=quiet)
        change(own, "DELETE", f"/directory/deletedItems/{made[1]['id']}")
        assert work.undo(here, done.run, clock=clock).steps[0]["outcome"] == "changed by somebody else since"
        assert "changed by somebody else" in work.undo(here, done.run, clock=clock, confirm=True, tell=quiet).stopped


def test_a_deleted_app_comes_back_and_goes_again(tenant: SampleTenant, tmp_path: Path):
    here, sp = settings(tenant, tmp_path), APP_KINDS["delete_app"](tenant)[1]
    change(tenant, "DELETE", f"/servicePrincipals/{sp['id']}")
    gone = whole(tenant)
    action = action_of("restore_app", (app_requests.restore_object(sp["id"], sp["appId"]), sp))
    done = work.apply(here, [action], clock=clock, tell=quiet)
    assert (done.whole, get(tenant, f"/v1.0/servicePrincipals/{sp['id']}")["appId"]) == (True, sp["appId"])
    assert work.undo(here, done.run, clock=clock, confirm=True, tell=quiet).whole
    assert whole(tenant) == gone
    change(tenant, "POST", f"/directory/deletedItems/{sp['id']}/restore", {})


# What is refused


@pytest.mark.parametrize("kind", [kind for kind in APP_KINDS if kind != "confirm_compromised"])
def test_a_request_cannot_slip_another_app_in(tenant: SampleTenant, tmp_path: Path, kind: str):
    wanted, app = APP_KINDS[kind](tenant) if kind != "dismiss_risk" else (None, None)
    if wanted is None:
        app = rows(tenant, "/v1.0/identityProtection/riskyServicePrincipals")[0]
        wanted = app_requests.dismiss_risk(app["id"])
    other = next(row for row in rows(tenant, "/v1.0/servicePrincipals?$top=999") if row["id"] != app["id"]
                 and row.get("servicePrincipalType") == "Application" and row["appId"] != app["appId"]
                 and "f8cdef31" not in str(row["appOwnerOrganizationId"]))  # fmt: skip
    dry = work.dry_run(settings(tenant, tmp_path), [action_of(kind, (wanted, other))])
    assert (dry.checked[0].verdict, dry.checked[0].reason) == (
        "refused",
        "the request is about another app than the action",
    )


def test_a_state_that_is_not_the_plans_is_refused_with_the_difference(tenant: SampleTenant, tmp_path: Path):
    here, made = settings(tenant, tmp_path), APP_KINDS["remove_reply_urls"](tenant)
    path = made[0].request.path.removeprefix("/v1.0")
    more = {"web": {"redirectUris": ["https://new.example/cb"]}}
    change(tenant, "PATCH", path, more)
    try:
        (found,) = work.dry_run(here, [action_of("remove_reply_urls", made)]).checked
        assert (found.verdict, "https://new.example/cb" in found.reason) == ("refused", True)
    finally:
        change(tenant, "PATCH", path, made[0].undo.body)


def test_an_app_that_came_meanwhile_is_not_blocked_over(tenant: SampleTenant, tmp_path: Path):
    sp = APP_KINDS["delete_app"](tenant)[1]
    made = (app_requests.block_app(sp["appId"]), {"appId": sp["appId"], "id": ""})
    action = action_of("block_app", made)
    action = replace(action, parts=(Part(action.parts[0].request, None),))
    (found,) = work.dry_run(settings(tenant, tmp_path), [action]).checked
    assert (found.verdict, "not the plan's" in found.reason) == ("refused", True)


def test_microsofts_apps_are_not_blocked_before_they_come(tenant: SampleTenant, tmp_path: Path):
    made = (app_requests.block_app(GRAPH_APP), {"appId": GRAPH_APP, "id": ""})
    (found,) = work.dry_run(settings(tenant, tmp_path), [action_of("block_app", made)]).checked
    assert (found.verdict, found.reason) == ("refused", "protected: Microsoft's own app")


def test_a_protected_app_is_neither_deleted_nor_purged(tenant: SampleTenant, tmp_path: Path):
    made = [APP_KINDS[kind](tenant) for kind in ("delete_app", "purge_app")]
    (tmp_path / "actions").mkdir()
    entries = (f'[[protected]]\nid = "{app["appId"]}"\nreason = "kept"\n' for _, app in made)
    (tmp_path / "actions" / "protected.toml").write_text("".join(entries))
    kinds = ("delete_app", "purge_app")
    dry = work.dry_run(settings(tenant, tmp_path), [action_of(k, m) for k, m in zip(kinds, made, strict=True)])
    assert {item.verdict for item in dry.checked} == {"refused"}
    assert all("is on the protected list: kept" in item.reason for item in dry.checked)


ID = "11111111-1111-1111-1111-111111111111"
POLICY = dict(app_requests.limit_sign_in(ID).request.body or {})


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/servicePrincipals", {"appId": ID, "accountEnabled": True}),
        ("POST", "/servicePrincipals", {"appId": ID, "accountEnabled": False, "tags": []}),
        ("DELETE", "/servicePrincipals(appId='x')", None),
        ("POST", f"/directory/deletedItems/{ID}/restore", {"autoReconcileProxyConflict": True}),
        ("POST", "/identityProtection/riskyServicePrincipals/dismiss", {"servicePrincipalIds": [ID, ID]}),
        ("POST", "/identityProtection/riskyServicePrincipals/dismiss", {"servicePrincipalIds": []}),
        ("POST", "/identity/conditionalAccess/policies", {**POLICY, "state": "enabled"}),
        ("POST", "/identity/conditionalAccess/policies", {**POLICY, "displayName": "Block all"}),
        ("POST", "/identity/conditionalAccess/policies", {**POLICY, "sessionControls": {}}),
        ("POST", "/identity/conditionalAccess/policies",
         {**POLICY, "conditions": {**POLICY["conditions"], "users": {"includeUsers": ["All"]}}}),
        ("PATCH", "/identity/conditionalAccess/policies/x", {"state": "disabled"}),
    ],
)  # fmt: skip
def test_a_plan_carries_no_foreign_request(method: str, path: str, body: dict[str, Any] | None):
    with pytest.raises(ConfigError, match="none that appgov sends"):
        from_record({"action_id": "x", "requests": [{"method": method, "path": f"/v1.0{path}", "body": body}]})


def test_no_policy_but_our_own_is_removed(tenant: SampleTenant, tmp_path: Path):
    policies = rows(tenant, "/v1.0/identity/conditionalAccess/policies")
    sp = APP_KINDS["delete_app"](tenant)[1]
    requests = [
        {"method": "DELETE", "path": f"/v1.0/identity/conditionalAccess/policies/{policy['id']}", "body": None}
        for policy in policies
    ]
    names = {"app_id": sp["appId"], "service_principal_id": sp["id"]}
    actions = [from_record({"action_id": f"x{n}", "requests": [each], **names}) for n, each in enumerate(requests)]
    dry = work.dry_run(settings(tenant, tmp_path), actions)
    assert [item.verdict for item in dry.checked] == ["refused"] * len(policies)
