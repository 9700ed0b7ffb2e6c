"""Which findings ask for something about people and settings: merged per person and tenant, and spared people."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pytest
from test_actions import HOSTILE
from test_actions_kinds import APP, EMPTY, PERSON, REG, ROLE, SP, finding, made, one

sys.path.insert(0, str(Path(__file__).parent / "policies"))
from policy_tables import AS_OF, add, empty_warehouse

from appgov_lib import actions
from appgov_lib.actions.asks import asks
from appgov_lib.actions.facts import Facts, Guards, OpenFinding
from appgov_lib.actions.form import MADE
from appgov_lib.actions.people_asks import FEW, HANDLERS, read_people
from appgov_lib.actions.planner import Action
from appgov_lib.actions.protected import protected_ids
from appgov_lib.actions.tenant_asks import read_guards
from appgov_lib.detect import load_policies
from appgov_lib.settings import Settings

OTHER_SP, OTHER_APP = "a2222222-2222-2222-2222-222222222222", "b2222222-2222-2222-2222-222222222222"
TENANT = "99999999-9999-9999-9999-999999999999"


def user(key: str = PERSON, **more: Any) -> dict[str, Any]:
    """A member who may sign in."""
    row = {"user_id": key, "user_principal_name": "ada@example.org", "display_name": "Ada", "account_enabled": True}
    return {**row, "user_type": "Member", **more}


def people(*users: dict[str, Any], **more: Any) -> Facts:
    """Facts with these people."""
    return replace(EMPTY, people={each["user_id"]: each for each in users}, **more)


def of_setting(subject: str, number: int = 1, severity: str = "low") -> OpenFinding:
    """A finding about a setting of the tenant."""
    return OpenFinding(f"s{number}", "weak-app-settings", TENANT, "", severity, "Weak.", "change_setting", {}, subject)


def told(found: list[Action]) -> list[tuple[str, str | None, str]]:
    """(kind, method, whom it is about) of actions."""
    return [(action.action_type, action.method, action.service_principal_id) for action in found]


# People


def test_an_account_in_other_hands_least_disruptive_first():
    urgent = replace(finding("secure_user", user_id=PERSON), severity="high")
    found = made(people(user()), urgent)
    assert told(found) == [
        ("revoke_sessions", "POST", PERSON),
        ("reset_password", None, PERSON),
        ("review_app", None, SP),
        ("block_user", "PATCH", PERSON),
    ]
    assert {action.disposition for action in found} == {"needs_review"}
    assert [(action.display_name, action.app_id, action.affected_users) for action in found if "app" not in
            action.action_type] == [("ada@example.org", "", 1)] * 3  # fmt: skip
    sessions, reset, _, block = found
    assert (sessions.path, sessions.body) == (f"/v1.0/users/{PERSON}/revokeSignInSessions", None)
    assert (sessions.reversible, sessions.permission_needed) == (False, "User.RevokeSessions.All")
    assert "cannot be undone" in " ".join(sessions.steps)
    assert (block.body, json.loads(block.undo)["body"]) == ('{"accountEnabled":false}', {"accountEnabled": True})
    assert (block.effort, block.permission_needed) == ("high", "User.EnableDisableAccount.All")
    # the password is a person's business: the form of the request is told, and no text holds a secret or a script
    assert (reset.requests, reset.curl, reset.powershell, reset.az_rest, reset.wave) == (None, None, None, None, 3)
    assert f"PATCH /v1.0/users/{PERSON} with passwordProfile" in " ".join(reset.steps)


def test_a_milder_finding_ends_sessions_alone():
    found = made(people(user()), finding("secure_user", people=["Ada@example.org", "not-known@example.org"]))
    assert told(found) == [("revoke_sessions", "POST", PERSON), ("review_app", None, SP)]


def test_one_action_answers_findings_about_several_apps():
    first = replace(finding("secure_user", user_id=PERSON), severity="high")
    second = replace(finding("secure_user", number=2, sessions=[{"user_id": PERSON}]), app_id=OTHER_APP)
    second = replace(second, service_principal_id=OTHER_SP)
    found = {action.action_type: action for action in made(people(user()), first, second)}
    assert found["revoke_sessions"].finding_ids == ("f1", "f2")
    assert found["block_user"].finding_ids == ("f1",)
    assert found["revoke_sessions"].risk_removed == 120.0


def test_guests_belong_to_somebody_else_and_blocked_people_are_blocked():
    urgent = replace(finding("secure_user", user_id=PERSON), severity="critical")
    assert [kind for kind, *_ in told(made(people(user(user_type="Guest")), urgent))] == ["review_app", "block_user"]
    kinds = {kind for kind, *_ in told(made(people(user(account_enabled=False)), urgent))}
    assert kinds == {"review_app", "revoke_sessions", "reset_password"}


@pytest.mark.parametrize(("many", "acted_on"), [(FEW, FEW), (FEW + 1, 0)])
def test_many_people_are_a_way_of_working(many: int, acted_on: int):
    users = [
        user(f"d{number:07}-1111-1111-1111-111111111111", user_principal_name=f"u{number}") for number in range(many)
    ]
    found = made(people(*users), finding("secure_user", people=[f"U{number}" for number in range(many)]))
    assert sum(kind == "revoke_sessions" for kind, *_ in told(found)) == acted_on
    assert sum(kind == "review_app" for kind, *_ in told(found)) == 1


GRANTS = ({"grant_id": "g1", "service_principal_id": SP, "resource_id": ROLE, "consent_type": "Principal",
           "principal_id": PERSON, "principal_name": None, "scopes": ["Mail.Read", "offline_access", "openid"]},
          {"grant_id": "g2", "service_principal_id": SP, "resource_id": ROLE, "consent_type": "AllPrincipals",
           "principal_id": None, "principal_name": None, "scopes": ["Mail.Read"]})  # fmt: skip


def test_who_let_an_attack_in_gets_new_sessions():
    facts = people(user(), grants={SP: GRANTS})
    assert {kind for kind, *_ in told(made(facts, finding("end_abuse")))} == {"disable_sign_in", "revoke_sessions"}
    found = made(facts, finding("end_phishing", permissions=["Mail.Read", "offline_access"]))
    assert {kind for kind, *_ in told(found)} == {"remove_scopes", "revoke_sessions"}
    (cut,) = (action for action in found if action.action_type == "remove_scopes")
    assert (cut.path, cut.body) == ("/v1.0/oauth2PermissionGrants/g1", '{"scope":"openid"}')
    # nothing is known of who let it in: the app alone
    assert [kind for kind, *_ in told(made(EMPTY, finding("end_abuse")))] == ["disable_sign_in"]
    assert [kind for kind, *_ in told(made(EMPTY, finding("end_phishing")))] == ["review_app"]


def test_inbox_rules_go_by_their_ids_or_by_hand():
    facts = people(user(), mail_rules={SP: ((PERSON, ("AQAAA/b+1=",)),), OTHER_SP: ((PERSON, ("AQAAAc=",)),)})
    second = replace(finding("remove_mail_rules", number=2), service_principal_id=OTHER_SP)
    found = {a.action_type: a for a in made(facts, finding("remove_mail_rules"), second)}
    rules = found["remove_mail_rules"]
    listed = f"/v1.0/users/{PERSON}/mailFolders/inbox/messageRules"
    assert [each["path"] for each in json.loads(rules.requests or "")] == [
        f"{listed}/AQAAA%2Fb%2B1%3D",
        f"{listed}/AQAAAc%3D",
    ]
    assert (rules.title, rules.permission_needed) == (
        "Remove 2 inbox rules from the mailbox of ada@example.org",
        "MailboxSettings.ReadWrite",
    )
    by_hand = people(user(), mail_rules={SP: ((PERSON, ()),)})
    action = next(a for a in made(by_hand, finding("remove_mail_rules")) if a.action_type == "remove_mail_rules")
    assert (action.method, action.wave) == (None, 3)
    assert f"appgov actions mail-rules {PERSON}" in " ".join(action.steps)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_persons_name_stays_in_its_place(name: str):
    urgent = replace(finding("secure_user", user_id=PERSON), severity="high")
    for action in made(people(user(user_principal_name=name, display_name=name)), urgent):
        texts = (action.title, action.verify, action.display_name, *action.steps)
        assert not any(sign in text for text in texts for sign in "\r\n\x1b\u2028\u0085\u202e")
        if action.powershell and action.curl and action.az_rest:
            lines = [action.powershell.splitlines(), action.curl.splitlines(), action.az_rest.splitlines()]
            assert [len(each) for each in lines] == [3, 2, 2]
            assert all(each[0].startswith("# ") for each in lines)
            assert all(name[:6] not in line for each in lines for line in each[1:])


# Settings


def test_registering_apps_is_an_ordinary_setting():
    known = {"app_registration": ({"defaultUserRolePermissions": {"allowedToCreateApps": False}}, {})}
    action, (request,) = one(replace(EMPTY, policy=known), of_setting("app_registration"))
    assert (action.action_type, request["path"]) == ("change_setting", "/v1.0/policies/authorizationPolicy")
    assert request["body"] == {"defaultUserRolePermissions": {"allowedToCreateApps": False}}


KEY_ID = "e5555555-5555-5555-5555-555555555555"
WIDE = {"id": KEY_ID, "permissionType": "delegated", "permissionClassification": "all", "resourceApplication": "any",
        "permissions": ["all"], "clientApplicationIds": ["all"], "clientApplicationTenantIds": ["all"],
        "clientApplicationPublisherIds": ["all"], "clientApplicationsFromVerifiedPublisherOnly": False
        }  # fmt: skip


def test_a_consent_policy_gets_the_narrow_rule_before_it_loses_the_wide_one():
    listed = "/v1.0/policies/permissionGrantPolicies/ours/includes"
    chosen = {**WIDE, "id": "x", "permissions": ["p1"]}
    facts = replace(EMPTY, guards=Guards(TENANT, {"ours": (WIDE, chosen)}))
    action, (add, gone) = one(facts, replace(of_setting("permission_grant_policies"), severity="high"))
    assert (add["method"], add["path"], gone["method"], gone["path"]) == (
        "POST", listed, "DELETE", f"{listed}/{KEY_ID}"
    )  # fmt: skip
    assert add["body"] == {
        **{name: value for name, value in WIDE.items() if name != "id"},
        "permissionClassification": "low",
        "clientApplicationsFromVerifiedPublisherOnly": True,
    }
    assert (add["undo"]["path"], gone["undo"]["body"]) == (
        f"{listed}/{MADE}",
        {name: value for name, value in WIDE.items() if name != "id"},
    )
    assert (action.display_name, action.reversible, action.disposition) == ("Tenant settings", True, "needs_review")
    twice = replace(EMPTY, guards=Guards(TENANT, {"ours": (WIDE, {**WIDE, "id": "f" * 8 + KEY_ID[8:]})}))
    assert [each["method"] for each in one(twice, of_setting("permission_grant_policies"))[1]] == [
        "POST", "DELETE", "DELETE",
    ]  # fmt: skip


def test_users_may_ask_where_somebody_is_named_to_answer():
    asking = {"isEnabled": False, "notifyReviewers": None, "remindersEnabled": True, "requestDurationInDays": 90,
              "reviewers": [{"query": f"/users/{PERSON}", "queryType": "MicrosoftGraph"}]}  # fmt: skip
    settings = [of_setting("admin_consent_workflow"), of_setting("admin_consent_duration", 2)]
    action, (request,) = one(replace(EMPTY, guards=Guards(TENANT, asking=asking)), *settings)
    assert (request["method"], action.finding_ids) == ("PUT", ("s1", "s2"))
    assert request["body"] == {"isEnabled": True, "notifyReviewers": True, "remindersEnabled": True,
                               "requestDurationInDays": 30, "reviewers": asking["reviewers"]}  # fmt: skip
    assert request["undo"]["body"] == asking
    nobody = replace(EMPTY, guards=Guards(TENANT, asking={**asking, "reviewers": []}))
    assert one(nobody, settings[0])[0].title == "Name reviewers, and let users ask them for apps"


OLD = {"restrictionType": "passwordLifetime", "state": "enabled", "maxLifetime": "P365D",
       "restrictForAppsCreatedAfterDateTime": "2026-01-01T00:00:00Z", "excludeActors": None}  # fmt: skip
BAN = {"restrictionType": "symmetricKeyAddition", "state": "enabled", "maxLifetime": None}


def limits(*rules: dict[str, Any], enabled: bool = True, **more: Any) -> Facts:
    """Facts with a policy of these rules for secrets."""
    policy = {"isEnabled": enabled, "applicationRestrictions": {"passwordCredentials": list(rules)}}
    return replace(EMPTY, guards=Guards(TENANT, limits=policy, **more))


def test_limits_of_credentials_are_one_action_for_the_setting_and_the_apps():
    weak = [of_setting("secret_lifetime"), of_setting("certificate_lifetime", 2)]
    app = finding("limit_credentials", number=3, credential_type="secret")
    found = {action.action_type: action for action in made(limits(OLD, BAN), *weak, app)}
    assert set(found) == {"limit_credentials", "review_app"}
    limit = found["limit_credentials"]
    assert (limit.finding_ids, limit.risk_removed) == (("f3", "s1", "s2"), 10.0)  # the app's credential stays
    assert json.loads(limit.body or "") == {
        "isEnabled": True,
        "applicationRestrictions": {
            "passwordCredentials": [
                BAN,
                {**OLD, "maxLifetime": "P180D", "restrictForAppsCreatedAfterDateTime": "2000-01-01T00:00:00Z"},
            ],
            "keyCredentials": [
                {
                    "restrictionType": "asymmetricKeyLifetime",
                    "state": "enabled",
                    "maxLifetime": "P365D",
                    "restrictForAppsCreatedAfterDateTime": "2000-01-01T00:00:00Z",
                }
            ],
        },
    }
    assert json.loads(limit.undo)["body"]["applicationRestrictions"] == {
        "passwordCredentials": [OLD, BAN], "keyCredentials": [],
    }  # fmt: skip
    assert (limit.service_principal_id, limit.display_name) == (TENANT, "Tenant settings")


def test_a_limit_that_is_strict_enough_is_left_alone_and_a_stricter_one_stays():
    strict = {**OLD, "maxLifetime": "P90D", "restrictForAppsCreatedAfterDateTime": None}
    app = finding("limit_credentials", credential_type="secret")
    assert [a.action_type for a in made(limits(strict), app)] == ["review_app"]
    assert [a.action_type for a in made(EMPTY, app)] == ["review_app"]
    off = made(limits({**OLD, "maxLifetime": "P90D"}, enabled=False), of_setting("app_management_policy"))
    assert json.loads(off[0].body or "") == {"isEnabled": True}
    (action,) = made(limits({**OLD, "maxLifetime": "P90D"}), of_setting("secret_lifetime"))
    assert json.loads(action.body or "")["applicationRestrictions"]["passwordCredentials"][0]["maxLifetime"] == "P90D"


def test_an_app_comes_under_a_strict_policy_where_the_tenant_has_one():
    app = finding("limit_credentials", credential_type="certificate")
    found = {action.action_type: action for action in made(limits(app_policy=ROLE), app)}
    assert set(found) == {"limit_credentials", "limit_app_credentials", "review_app"}
    one_app = found["limit_app_credentials"]
    assert (one_app.path, one_app.app_id) == (f"/v1.0/applications/{REG}/appManagementPolicies/$ref", APP)
    assert json.loads(one_app.undo)["path"] == f"/v1.0/applications/{REG}/appManagementPolicies/{ROLE}/$ref"


def test_a_setting_whose_value_is_not_known_is_looked_at():
    for subject in ("secret_lifetime", "admin_consent_workflow", "permission_grant_policies", "app_registration"):
        assert told(made(EMPTY, of_setting(subject))) == [("review_settings", None, TENANT)]


# From the warehouse


@pytest.fixture
def con() -> duckdb.DuckDBPyConnection:
    """An empty warehouse."""
    return empty_warehouse()


def test_people_are_read_where_a_finding_needs_them(con: duckdb.DuckDBPyConnection):
    assert read_people(con, [finding("review")], {}, frozenset()) == {"people": {}, "mail_rules": {}}
    ids = [f"{number}" * 8 + "-1111-1111-1111-111111111111" for number in range(1, 6)]
    for number, key in enumerate(ids):
        add(con, "stg_users", user_id=key, user_principal_name=f"u{number}@example.org", account_enabled=True)
    call = {"app_id": APP, "status": 201, "user_id": None}
    add(con, "stg_api_activity", **call, method="POST", path=f"/users/{ids[0]}/mailFolders/inbox/messageRules")
    add(con, "stg_api_activity", **{**call, "status": 200}, method="PATCH",
        path="/users/U1@example.org/mailFolders/inbox/messageRules/AQAAAb%3D")  # fmt: skip
    add(con, "stg_api_activity", **{**call, "user_id": ids[2]}, method="POST",
        path="/me/mailFolders/Inbox/messageRules")  # fmt: skip
    add(con, "stg_api_activity", **call, method="POST", path="/users/x/mailFolders/inbox/messageRules/a/b")
    add(con, "stg_office_activity", app_id=APP, operation="New-InboxRule", user_principal_name="u3@example.org")
    wanted = finding("remove_mail_rules", mailboxes=["U4@example.org"])
    found = read_people(con, [wanted], {}, frozenset())
    assert found["mail_rules"] == {SP: ((ids[0], ()), (ids[1], ("AQAAAb=",)), (ids[2], ()), (ids[3], ()), (ids[4], ()))}
    spared = read_people(con, [wanted], {}, frozenset(ids[1:]))
    assert (spared["mail_rules"], list(spared["people"])) == ({SP: ((ids[0], ()),)}, [ids[0]])
    assert read_people(con, [wanted], {}, None)["people"] == {}


def test_a_protected_person_is_in_no_plan_and_in_no_script(con: duckdb.DuckDBPyConnection, tmp_path: Path):
    add(con, "stg_users", user_id=PERSON, user_principal_name="ada@example.org", account_enabled=True)
    add(con, "app_inventory")
    con.execute(
        "CREATE TABLE findings AS SELECT 'f1' AS finding_id, 'p' AS policy_id, service_principal_id, app_id, "
        "'high' AS severity, 'Why.' AS reason, 'secure_user' AS action, '' AS subject, 'active' AS status, "
        "'new' AS state, ?::JSON AS evidence FROM app_inventory",
        [json.dumps({"user_id": PERSON})],
    )
    kinds = "SELECT list(action_type ORDER BY action_type) FROM remediation_actions"
    actions.plan(con)
    assert con.execute(kinds).fetchall() == [(["block_user", "reset_password", "review_app", "revoke_sessions"],)]
    here, said = Settings(home=tmp_path), list[str]()
    (tmp_path / "actions").mkdir()
    list_of = tmp_path / "actions" / "protected.toml"
    list_of.write_text(f'[[protected]]\nid = "{PERSON.upper()}"\nreason = "break-glass"\n')
    for content in (None, "not toml ["):
        if content:
            list_of.write_text(content)
        actions.plan(con, protected_ids(here, said.append))
        assert con.execute(kinds).fetchall() == [(["review_app"],)]
    assert len(said) == 1
    assert "nothing is planned about people" in said[0]


def test_guards_are_read_as_graph_writes_them(con: duckdb.DuckDBPyConnection):
    assert read_guards(con, [finding("review")]) == Guards()
    assert read_guards(con, [of_setting("x")]) == Guards("tenant")
    add(con, "stg_organization", tenant_id=TENANT)
    add(con, "stg_permission_grant_policies", policy_id="Ours", includes=json.dumps([WIDE]))
    add(con, "stg_permission_grant_policies", policy_id="narrow", includes="[]")
    own = "ManagePermissionGrantsForSelf."
    add(con, "stg_authorization_policy", policy_id="a", user_consent_policies=[f"{own}Ours", f"{own}narrow"])
    add(con, "stg_admin_consent_request_policy", policy_id="p", is_enabled=False, reviewers=[f"/users/{PERSON}"])
    add(con, "stg_default_app_management_policy", policy_id="d", is_enabled=True,
        application_password_rules=json.dumps([OLD]))  # fmt: skip
    key = {"restrictionType": "asymmetricKeyLifetime", "state": "enabled", "maxLifetime": "P180D"}
    secret = {"restrictionType": "passwordAddition", "state": "enabled", "maxLifetime": None}
    later = {"restrictForAppsCreatedAfterDateTime": "2026-01-01T00:00:00Z"}
    off = {**secret, "state": "disabled"}
    own_rules = {"a-later": (secret, {**key, **later}), "b-off": (off, key), ROLE: (secret, key)}
    for policy, (secrets, keys) in own_rules.items():
        add(con, "stg_app_management_policies", policy_id=policy, is_enabled=True, password_rules=json.dumps([secrets]),
            key_rules=json.dumps([keys]))  # fmt: skip
    found = read_guards(con, [of_setting("x")])
    assert (found.tenant_id, found.consent_rules, found.app_policy) == (TENANT, {"Ours": (WIDE,)}, ROLE)
    assert found.limits == {"isEnabled": True, "applicationRestrictions": {"passwordCredentials": [OLD]}}
    assert found.asking is not None
    assert found.asking["reviewers"] == [{"query": f"/users/{PERSON}", "queryType": "MicrosoftGraph"}]


def test_every_action_that_a_policy_names_is_known():
    named = {policy.action for policy in load_policies()}
    assert set(HANDLERS) <= named
    silent = {name for name in named if not name.startswith("review")} - set(HANDLERS)
    for name in silent:
        assert asks(finding(name), EMPTY)
    assert AS_OF
