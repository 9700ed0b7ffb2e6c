"""Actions about an app as a whole: from findings and facts to requests that `forms` understands."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from test_actions_kinds import APP, EMPTY, KEY, REG, ROLE, ROW, SP, finding, made, one

sys.path.insert(0, str(Path(__file__).parent / "policies"))
from policy_tables import AS_OF, add, empty_warehouse

from appgov_lib.actions.app_builders import MOST
from appgov_lib.actions.app_facts import read_app_facts
from appgov_lib.actions.facts import Facts
from appgov_lib.actions.scripts import powershell

API, MAIL, FILES = (f"{n}2222222-2222-2222-2222-222222222222" for n in "abc")
ASKED = [
    {"resourceAppId": API, "resourceAccess": [{"id": MAIL, "type": "Role"}, {"id": FILES, "type": "Scope"}]},
    {"resourceAppId": ROLE, "resourceAccess": [{"id": KEY, "type": "Scope"}]},
]
URLS = {"web": ["https://a.example/cb", "http://b.example"], "spa": ["http://b.example"], "publicClient": []}


def own(audience: str = "AzureADMyOrg", **values: Any) -> Facts:
    """An app that is registered here."""
    known = {"sign_in_audience": audience, "is_disabled": False, "reply_urls": URLS, "asked": ASKED, **values}
    return replace(EMPTY, apps={SP: {**ROW, "sign_in_audience": audience}}, registrations={REG: known})


def wants(resource: str, permission: str, name: str) -> dict[str, str]:
    """A permission of the policy's evidence."""
    return {"resource_app_id": resource, "permission_id": permission, "permission": name}


def test_the_addresses_of_a_finding_go_and_the_others_stay():
    facts = own()
    bad = finding("remove_reply_urls", addresses=["http://b.example", "http://elsewhere.example"])
    action, (request,) = one(facts, bad, finding("remove_reply_urls", number=2, addresses=["http://b.example"]))
    assert (request["method"], request["path"]) == ("PATCH", f"/v1.0/applications/{REG}")
    assert request["body"] == {"web": {"redirectUris": ["https://a.example/cb"]}, "spa": {"redirectUris": []}}
    assert (
        request["undo"]["body"] == request["state"] == {name: {"redirectUris": URLS[name]} for name in ("web", "spa")}
    )
    assert (action.finding_ids, action.disposition) == (("f1", "f2"), "needs_review")
    assert "1 addresses stay" in " ".join(action.steps)
    all_of_it = finding("remove_reply_urls", addresses=["http://b.example", "https://a.example/cb"])
    assert "none stays" in " ".join(one(facts, all_of_it)[0].steps)


def test_an_address_of_an_outside_app_is_for_its_publisher():
    outside = replace(EMPTY, apps={SP: {**ROW, "application_id": None}})
    assert one(outside, finding("remove_reply_urls", addresses=["http://b.example"]))[0].action_type == "review_app"


@pytest.mark.parametrize(
    ("audience", "disposition"), [("AzureADMyOrg", "safe"), ("AzureADMultipleOrgs", "needs_review")]
)
def test_what_was_never_granted_is_no_longer_asked_for(audience: str, disposition: str):
    wanted = finding("trim_manifest", asked_for=[wants(API, MAIL, "Mail.Read"), wants(ROLE, KEY, "X.Read")])
    action, (request,) = one(own(audience), wanted)
    kept = [{"resourceAppId": API, "resourceAccess": [{"id": FILES, "type": "Scope"}]}]
    assert request["body"] == {"requiredResourceAccess": kept}
    assert request["undo"]["body"] == request["state"] == {"requiredResourceAccess": ASKED}
    assert (action.title, action.disposition) == ("Let Payroll Sync no longer ask for Mail.Read, X.Read", disposition)
    gone = finding("trim_manifest", asked_for=[wants(API, ROLE, "Gone.Read")])
    assert one(own(), gone)[0].action_type == "review_app"


@pytest.mark.parametrize("asked", ["disable_sign_in", "end_abuse"])
def test_our_own_app_is_stopped_in_other_tenants_too(asked: str):
    here, everywhere = made(own("AzureADMultipleOrgs"), finding(asked))
    assert (here.action_type, everywhere.action_type) == ("disable_sign_in", "deactivate_registration")
    assert json.loads(everywhere.requests or "")[0]["body"] == {"isDisabled": True}
    (alone,) = made(own(), finding("disable_sign_in"))
    assert alone.action_type == "disable_sign_in"
    (off,) = made(own("AzureADMultipleOrgs", is_disabled=True), finding("disable_sign_in"))
    assert off.action_type == "disable_sign_in"
    (unused,) = made(own("AzureADMultipleOrgs"), finding("disable_unused_app"))
    assert unused.action_type == "disable_sign_in"


@pytest.mark.parametrize("asked", ["disable_sign_in", "end_abuse"])
def test_an_abused_app_known_from_logs_alone_is_blocked(asked: str):
    absent = replace(EMPTY, apps={})
    action, (request,) = one(absent, finding(asked, listed_as="rclone"))
    assert (request["method"], request["path"]) == ("POST", "/v1.0/servicePrincipals")
    assert request["body"] == {"appId": APP, "accountEnabled": False}
    assert request["undo"]["path"] == f"/v1.0/servicePrincipals(appId='{APP}')"
    assert (action.title, action.reversible) == (f"Block {APP} (rclone) before anybody consents to it", True)
    unnamed = replace(finding(asked), app_id="not an id")
    assert one(absent, unnamed)[0].action_type == "review_app"


AT_RISK = {"risk_state": "atRisk", "detections": [{"key_ids": [KEY.upper()]}]}
OTHER = replace(finding("review"), finding_id="f9", policy_id="another", severity="high")


def test_a_risk_that_another_finding_bears_out_is_confirmed():
    risk = replace(finding("judge_risk", **AT_RISK), severity="high")
    kinds = [action.action_type for action in made(own(), risk, OTHER)]
    assert sorted(kinds) == ["confirm_compromised", "limit_sign_in", "review_app"]
    confirm = next(each for each in made(own(), risk, OTHER) if each.action_type == "confirm_compromised")
    (request,) = json.loads(confirm.requests or "")
    assert request["body"] == {"servicePrincipalIds": [SP]}
    assert request["undo"]["path"].endswith("/dismiss")
    assert (request["state"], confirm.disposition, confirm.risk_removed) == ({"riskState": "atRisk"}, "needs_review", 0)
    for facts in (own("AzureADMultipleOrgs"), replace(own(), apps={SP: {**ROW, "application_id": None}})):
        kinds = [action.action_type for action in made(facts, risk, OTHER)]
        assert sorted(kinds) == ["confirm_compromised", "review_app"]  # Conditional Access is for single-tenant apps


@pytest.mark.parametrize("covered", [SP, "serviceprincipalsinmytenant"])
def test_an_app_that_a_policy_limits_already_gets_no_second_one(covered: str):
    risk = replace(finding("judge_risk", **AT_RISK), severity="high")
    kinds = {action.action_type for action in made(replace(own(), limited=frozenset({covered})), risk, OTHER)}
    assert kinds == {"confirm_compromised", "review_app"}


def test_a_risk_alone_is_looked_at():
    assert one(replace(own(), live_keys={SP: frozenset({KEY})}), finding("judge_risk", **AT_RISK))[0].action_type == (
        "review_app"
    )


def test_a_risk_whose_credentials_are_gone_is_dismissed_for_good():
    action, (request,) = one(own(), finding("judge_risk", **AT_RISK))
    assert (action.action_type, action.reversible, action.disposition) == ("dismiss_risk", False, "needs_review")
    assert request["undo"]["method"] is None
    assert one(own(), finding("judge_risk", risk_state="atRisk", detections=None))[0].action_type == "review_app"


def test_a_confirmed_risk_disables_the_app():
    confirmed = finding("judge_risk", risk_state="confirmedCompromised")
    assert one(own(), confirmed)[0].action_type == "disable_sign_in"
    off = replace(EMPTY, apps={SP: {**ROW, "account_enabled": False}})
    assert one(off, confirmed)[0].action_type == "review_app"


def held(many: int, **app: Any) -> Facts:
    """A disabled app with so many grants and an assignment."""
    names = {"service_principal_id": SP, "resource_id": ROLE, "consent_type": "Principal", "principal_name": None}
    grants = tuple({**names, "grant_id": f"g{n}", "principal_id": KEY, "scopes": ["Mail.Read"]} for n in range(many))
    role = {"assignment_id": "as1", "service_principal_id": SP, "resource_id": ROLE, "app_role_id": KEY,
            "permission": "X"}  # fmt: skip
    row = {**ROW, "account_enabled": False, **app}
    return replace(EMPTY, apps={SP: row}, grants={SP: grants}, assignments={SP: (role,)})


def test_a_disabled_app_is_deleted_after_what_it_holds():
    action, requests = one(held(1), finding("delete_app"))
    assert [(each["method"], each["path"].split("/")[2]) for each in requests] == [
        ("DELETE", "oauth2PermissionGrants"),
        ("DELETE", "servicePrincipals"),  # the assignment
        ("DELETE", "servicePrincipals"),
        ("DELETE", "applications"),
    ]
    assert requests[2]["state"] == {"appId": APP, "deleted": False}
    assert requests[3]["undo"]["path"] == f"/v1.0/directory/deletedItems/{REG}/restore"
    assert action.permission_needed == (
        "DelegatedPermissionGrant.ReadWrite.All, AppRoleAssignment.ReadWrite.All, Application.ReadWrite.All"
    )
    assert "'Application.ReadWrite.All'" in (action.powershell or "")
    assert action.powershell == powershell(
        [part.request for part in _parts(action)], action.title, action.permission_needed
    )
    assert (action.reversible, action.disposition) == (True, "needs_review")
    assert len(one(held(1, application_id=None), finding("delete_app"))[1]) == 3


def _parts(action: Any) -> Any:
    """The requests of an action."""
    from appgov_lib.actions.chosen import from_record

    return from_record({**vars(action), "requests": json.loads(action.requests)}).parts


def test_an_app_that_holds_too_much_is_deleted_by_hand():
    action, requests = one(held(MOST), finding("delete_app"))
    assert (requests, action.method, action.wave) == ([], None, 3)
    assert action.title.endswith("by hand")


def test_only_what_is_disabled_is_deleted():
    assert one(EMPTY, finding("delete_app"))[0].action_type == "review_app"


def test_registrations_are_read_for_the_findings_that_ask():
    con = empty_warehouse()
    for number, app_id in enumerate((APP, "other")):
        add(con, "stg_applications", application_id=f"r{number}", app_id=app_id, web_reply_urls=["https://a.example"],
            sign_in_audience="AzureADMyOrg", required_resource_access=json.dumps(ASKED))  # fmt: skip
    con.execute("CREATE TABLE findings (app_id VARCHAR, service_principal_id VARCHAR, status VARCHAR, action VARCHAR)")
    con.execute("INSERT INTO findings VALUES (?, ?, 'active', 'trim_manifest'), ('other', 'x', 'active', 'review')",
                [APP, SP])  # fmt: skip
    names = ["policy-of-one", "ServicePrincipalsInMyTenant"]
    add(con, "stg_conditional_access_policies", state="enabled", included_service_principals=names,
        service_principal_risk_levels=["high"])  # fmt: skip
    for other in (
        {"service_principal_risk_levels": []},
        {"state": "disabled", "service_principal_risk_levels": ["low"]},
    ):
        add(con, "stg_conditional_access_policies", included_service_principals=["unlimited"], **other)
    facts = read_app_facts(con)
    assert facts["limited"] == {name.lower() for name in names}
    assert facts["registrations"] == {
        "r0": {
            "sign_in_audience": "AzureADMyOrg",
            "is_disabled": None,
            "reply_urls": {"web": ["https://a.example"], "spa": [], "publicClient": []},
            "asked": ASKED,
        }
    }
    assert AS_OF
