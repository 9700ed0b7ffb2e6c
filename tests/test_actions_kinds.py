"""Kinds of action beyond grants and credentials: from a finding and facts to requests that `forms` understands."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from appgov_lib.actions.chosen import from_record
from appgov_lib.actions.facts import Facts, OpenFinding
from appgov_lib.actions.forms import form_of
from appgov_lib.actions.planner import TOGETHER, Action, actions_for
from appgov_lib.report.app import other_requests

SP, APP, REG = (f"{n}1111111-1111-1111-1111-111111111111" for n in "abc")
PERSON, KEY, ROLE = (f"{n}1111111-1111-1111-1111-111111111111" for n in "def")
ROW = {
    "service_principal_id": SP,
    "app_id": APP,
    "application_id": REG,
    "display_name": "Payroll Sync",
    "users_30d": 7,
    "calls_30d": 1200,
    "risk_score": 50,
    "account_enabled": True,
    "assignment_required": False,
    "publisher_name": "Contoso",
}
EMPTY = Facts(
    findings=(),
    apps={SP: ROW},
    grants={},
    assignments={},
    key_credentials={},
    removals=frozenset(),
    owner_candidates={},
    owners={SP: ("ada@example.org",)},
)


def finding(action: str, subject: str = "", number: int = 1, **evidence: Any) -> OpenFinding:
    """An open finding whose policy names an action."""
    return OpenFinding(f"f{number}", f"policy-{action}", SP, APP, "medium", "Why.", action, evidence, subject)


def made(facts: Facts, *findings: OpenFinding) -> list[Action]:
    """The plan; every request of it is one that `apply` understands."""
    found = list(actions_for(replace(facts, findings=findings)))
    for action in found:
        if action.requests:
            planned = from_record({**vars(action), "requests": json.loads(action.requests)})
            assert all(form_of(part.request) for part in planned.parts)
    return found


def one(facts: Facts, *findings: OpenFinding) -> tuple[Action, list[dict[str, Any]]]:
    """The only action and its requests."""
    (action,) = made(facts, *findings)
    return action, json.loads(action.requests or "[]")


def test_who_is_affected_and_whom_to_ask():
    action, _ = one(EMPTY, finding("disable_sign_in"))
    assert (action.affected_users, action.calls_30d, action.owners, action.publisher_name) == (
        7,
        1200,
        ("ada@example.org",),
        "Contoso",
    )
    # a medium finding weighs 20, half risk makes it 30; medium effort is 3, and 7 users log2(8) more
    assert (action.risk_removed, action.disruption, action.wave, action.reversible) == (30.0, 6.0, 2, True)


def test_an_owner_goes_as_long_as_another_is_left():
    facts = replace(EMPTY, owner_ids={SP: (PERSON,)})
    gone = finding("remove_owner", owner_id=PERSON, owner_name="Eve", is_enabled=False, live_owner_count=1)
    action, (request,) = one(facts, gone)
    assert (request["method"], request["path"]) == ("DELETE", f"/v1.0/applications/{REG}/owners/{PERSON}/$ref")
    assert action.title == "Take Eve off the owners of Payroll Sync"
    last = finding("remove_owner", owner_id=PERSON, is_enabled=True, live_owner_count=1)
    assert one(facts, last)[0].action_type == "review_app"
    elsewhere = replace(EMPTY, owner_ids={})  # an owner of the service principal alone
    assert one(elsewhere, gone)[0].action_type == "review_app"


def test_a_directory_role_goes_and_comes_back():
    role = {
        "assignment_id": "as_1",
        "principal_id": SP,
        "role_definition_id": ROLE,
        "role_name": "Reader",
        "scope": "/",
    }
    action, (request,) = one(
        replace(EMPTY, roles={"as_1": role}), finding("remove_directory_role", assignment_ids=["as_1"])
    )
    assert request["path"] == "/v1.0/roleManagement/directory/roleAssignments/as_1"
    assert request["undo"]["body"] == {"principalId": SP, "roleDefinitionId": ROLE, "directoryScopeId": "/"}
    assert action.permission_needed == "RoleManagement.ReadWrite.Directory"


def test_assignment_is_required():
    action, (request,) = one(EMPTY, finding("require_assignment"))
    assert (request["body"], request["undo"]["body"], request["state"]) == (
        {"appRoleAssignmentRequired": True},
        {"appRoleAssignmentRequired": False},
        {"appRoleAssignmentRequired": False},
    )
    assert action.disposition == "needs_review"


def test_properties_are_locked_and_the_lock_there_was_returns():
    old = {"isEnabled": True, "allProperties": False}
    _, (request,) = one(replace(EMPTY, locks={REG: old}), finding("lock_properties"))
    assert request["body"] == {"servicePrincipalLockConfiguration": {"isEnabled": True, "allProperties": True}}
    assert request["undo"]["body"] == {"servicePrincipalLockConfiguration": old}


def test_expired_credentials_go_together():
    names = ("service_principal_id", "object_id", "credential_origin", "credential_type", "key_id")
    held = [dict(zip(names, (SP, REG, "application", kind, key), strict=True)) for kind, key in
            (("secret", "s1"), ("certificate", "C1"), ("certificate", "c2"))]  # fmt: skip
    keys = {REG: ({"keyId": "c1"}, {"keyId": "c2"}, {"keyId": "c3"})}
    facts = replace(EMPTY, expired={SP: tuple(held)}, key_credentials=keys)
    action, requests = one(facts, finding("remove_expired_credentials"))
    assert [request["method"] for request in requests] == ["POST", "PATCH"]
    assert requests[1]["body"] == {"keyCredentials": [{"keyId": "c3"}]}
    assert (action.reversible, action.disposition) == (False, "needs_review")
    unread = replace(facts, expired={SP: tuple(held[1:])}, key_credentials={})
    assert one(unread, finding("remove_expired_credentials"))[1] == []


def test_a_federated_credential_goes_with_all_that_makes_it_again():
    known = {"federated_credential_id": KEY, "parent_id": REG, "name": "ci", "issuer": "https://evil.example",
             "subject": "repo:x", "audiences": ["a"], "description": None, "claims_expression": None}  # fmt: skip
    wanted = finding("remove_federated_credential", federated_credential_id=KEY)
    action, (request,) = one(replace(EMPTY, federated={KEY: known}), wanted)
    made_again = {"name": "ci", "issuer": "https://evil.example", "subject": "repo:x", "audiences": ["a"]}
    assert (request["undo"]["body"], request["state"]) == (made_again, made_again)
    assert "https://evil.example" in action.title
    assert one(EMPTY, wanted)[0].action_type == "review_app"


def test_a_setting_is_written_where_its_value_is_known():
    name = "permissionGrantPoliciesAssigned"
    low = "ManagePermissionGrantsForSelf.microsoft-user-default-low"
    before, after = ["ManagePermissionGrantsForSelf.microsoft-user-default-legacy"], [low]
    policy = {
        "user_consent": ({"defaultUserRolePermissions": {name: after}}, {"defaultUserRolePermissions": {name: before}})
    }
    facts = replace(EMPTY, policy=policy)
    found = made(
        facts, finding("change_setting", "user_consent"), finding("change_setting", "team_and_chat_consent", 2)
    )
    assert [(action.action_type, action.method) for action in found] == [
        ("change_setting", "PATCH"),
        ("review_settings", None),
    ]
    assert found[0].path == "/v1.0/policies/authorizationPolicy"


def test_alerts_about_an_app_are_taken_up_beside_the_remedy():
    facts = replace(EMPTY, alerts={SP: ("a-1", "a-2")})
    (calm,) = made(facts, finding("disable_sign_in"))
    assert calm.action_type == "disable_sign_in"
    urgent = replace(finding("disable_sign_in"), severity="critical")
    remedy, alerts = made(facts, urgent)
    assert (remedy.action_type, alerts.action_type, alerts.risk_removed) == ("disable_sign_in", "take_up_alerts", 0.0)
    assert alerts.title == "Take up the new alerts about Payroll Sync (2)"
    found = json.loads(alerts.requests or "")
    assert [(each["path"], each["body"], each["state"]) for each in found] == [
        (f"/v1.0/security/alerts_v2/a-{number}", {"status": "inProgress"}, {"status": "new"}) for number in (1, 2)
    ]


def users(many: int) -> Facts:
    """An app with a grant of each of so many users."""
    names = {"service_principal_id": SP, "resource_id": ROLE, "consent_type": "Principal", "principal_name": None}
    grants = [{**names, "grant_id": f"g{n:04}", "principal_id": f"u{n}", "scopes": ["Mail.Read"]} for n in range(many)]
    return replace(EMPTY, grants={SP: tuple(grants)})


@pytest.mark.parametrize(("many", "actions"), [(1, 1), (2, 1), (TOGETHER, 1), (TOGETHER + 1, 2)])
def test_grants_of_users_are_one_action_up_to_a_readable_size(many: int, actions: int):
    mail = {"permission": "Mail.Read", "permission_type": "delegated", "resource_id": ROLE, "usage": "used"}
    found = made(users(many), finding("remove_user_grants", permissions=[mail]))
    assert len(found) == actions
    assert sum(len(json.loads(action.requests or "")) for action in found) == many
    assert len({action.action_id for action in found}) == actions


def test_the_page_of_an_app_shows_every_request():
    mail = {"permission": "Mail.Read", "permission_type": "delegated", "resource_id": ROLE, "usage": "used"}
    (action,) = made(users(3), finding("remove_user_grants", permissions=[mail]))
    assert [each["path"][-5:] for each in other_requests(vars(action))] == ["g0001", "g0002"]
    assert other_requests({}) == other_requests({"requests": "["}) == other_requests({"requests": "[1, 2]"}) == []


def test_an_action_keeps_its_id_when_another_user_consents():
    mail = {"permission": "Mail.Read", "permission_type": "delegated", "resource_id": ROLE, "usage": "used"}
    ids = {made(users(many), finding("remove_user_grants", permissions=[mail]))[0].action_id for many in (1, 5)}
    assert len(ids) == 1
