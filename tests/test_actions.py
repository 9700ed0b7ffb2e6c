"""The action plan: exact requests, their undo, merging and order; and texts that stay inert in a shell."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import pytest

sys.path.insert(0, str(Path(__file__).parent / "policies"))
from policy_tables import APP, AS_OF, GRAPH, REGISTRATION, SP, add, empty_warehouse

from appgov_lib import actions
from appgov_lib.actions.planner import TYPES
from appgov_lib.actions.requests import Request
from appgov_lib.actions.scripts import curl, powershell
from appgov_lib.detect import run
from appgov_lib.settings import Settings

OUTSIDE = {"app_origin": "external", "publisher_verified": False, "application_id": None}


@pytest.fixture
def con() -> duckdb.DuckDBPyConnection:
    """An empty warehouse."""
    return empty_warehouse()


@pytest.fixture
def plan(con: duckdb.DuckDBPyConnection, tmp_path: Path):
    """Run the policies and the plan; give the actions as dictionaries with parsed JSON."""

    def make() -> list[dict[str, Any]]:
        run(con, Settings(home=tmp_path), as_of=AS_OF)
        actions.plan(con)
        result = con.execute("SELECT * FROM remediation_actions")
        names = [column[0] for column in result.description]
        rows = [dict(zip(names, row, strict=True)) for row in result.fetchall()]
        return [{**row, "body": json.loads(row["body"] or "null"), "undo": json.loads(row["undo"])} for row in rows]

    return make


def test_without_findings_the_plan_is_an_empty_table(con, plan):
    assert plan() == []
    described = dict(con.execute("SELECT column_name, column_type FROM (DESCRIBE remediation_actions)").fetchall())
    assert described == TYPES


def test_unused_scopes_are_cut_from_the_grant(con, plan):
    add(con, "app_inventory")
    for scope, usage in (("Mail.Read", "unused"), ("Files.Read", "unused"), ("User.Read", "used")):
        add(con, "app_permissions", permission=scope, privilege_level="medium", usage=usage)
    scopes = ["openid", "Mail.Read", "User.Read", "Files.Read"]
    add(con, "stg_delegated_grants", grant_id="g-1_A", service_principal_id=SP, resource_id=GRAPH,
        consent_type="AllPrincipals", scopes=scopes)  # fmt: skip
    (row,) = plan()
    assert (row["method"], row["path"]) == ("PATCH", "/v1.0/oauth2PermissionGrants/g-1_A")
    assert row["body"] == {"scope": "openid User.Read"}
    assert {k: row["undo"][k] for k in ("method", "path", "body")} == {
        "method": "PATCH",
        "path": "/v1.0/oauth2PermissionGrants/g-1_A",
        "body": {"scope": "openid Mail.Read User.Read Files.Read"},
    }
    assert row["permission_needed"] == "DelegatedPermissionGrant.ReadWrite.All"
    assert (row["disposition"], row["effort"], row["priority"]) == ("safe", "low", 1)
    assert row["title"] == "Remove Files.Read, Mail.Read (granted for all users) from Payroll Sync"
    assert row["affected_users"] == 5
    finding = con.execute("SELECT finding_id, reason FROM findings").fetchone()
    assert (row["finding_ids"], row["why"]) == ([finding[0]], finding[1])


def test_a_grant_without_scopes_left_is_deleted_and_undone_by_granting_it_again(con, plan):
    add(con, "app_inventory", **OUTSIDE)
    add(con, "app_permissions", permission="Mail.Read", consent_type="user", consented_users=1, usage="used")
    add(con, "stg_delegated_grants", grant_id="g", service_principal_id=SP, resource_id=GRAPH,
        consent_type="Principal", principal_id="u1", scopes=["Mail.Read"])  # fmt: skip
    add(con, "stg_users", user_id="u1", user_principal_name="ada@example.org", account_enabled=True)
    (row,) = plan()
    assert (row["method"], row["body"]) == ("DELETE", None)
    assert (row["undo"]["method"], row["undo"]["path"]) == ("POST", "/v1.0/oauth2PermissionGrants")
    assert row["undo"]["body"] == {
        "clientId": SP,
        "consentType": "Principal",
        "principalId": "u1",
        "resourceId": GRAPH,
        "scope": "Mail.Read",
    }
    assert (row["disposition"], row["affected_users"]) == ("needs_review", 1)  # it is in use
    assert "granted by ada@example.org" in row["title"]


def test_only_grants_of_users_go_for_user_consented_mail(con, plan):
    add(con, "app_inventory", **OUTSIDE)
    add(con, "app_permissions", permission="Mail.Read", consent_type="user", consented_users=2)
    for number, (kind, user) in enumerate([("Principal", "u1"), ("AllPrincipals", None), ("Principal", "u2")]):
        add(con, "stg_delegated_grants", grant_id=f"g{number}", service_principal_id=SP, resource_id=GRAPH,
            consent_type=kind, principal_id=user, scopes=["Mail.Read", "User.Read"])  # fmt: skip
    (row,) = plan()  # one action of the app, a request for each user
    requests = json.loads(row["requests"])
    assert [(each["method"], each["path"][-2:], each["body"]) for each in requests] == [
        ("PATCH", "g0", {"scope": "User.Read"}),
        ("PATCH", "g2", {"scope": "User.Read"}),
    ]
    assert requests[0]["state"]["scope"] == "Mail.Read User.Read"
    assert (row["path"][-2:], row["affected_users"]) == ("g0", 2)
    assert "granted by 2 users" in row["title"]
    assert [line[:2] for line in row["curl"].splitlines()] == ["# ", "cu", "cu"]


def test_an_unused_application_permission_is_removed(con, plan):
    add(con, "app_inventory")
    add(con, "app_permissions", permission="Mail.Read", permission_type="application", privilege_level="high",
        usage="unused")  # fmt: skip
    for number, (resource, name) in enumerate([(GRAPH, "Mail.Read"), ("other", "Mail.Read"), (GRAPH, "User.Read.All")]):
        add(con, "stg_app_role_assignments", assignment_id=f"as{number}", service_principal_id=SP,
            resource_id=resource, app_role_id=f"role{number}", permission=name)  # fmt: skip
    (row,) = plan()
    assert (row["method"], row["path"]) == ("DELETE", f"/v1.0/servicePrincipals/{SP}/appRoleAssignments/as0")
    assert row["undo"]["method"] == "POST"
    assert row["undo"]["path"] == f"/v1.0/servicePrincipals/{SP}/appRoleAssignments"
    assert row["undo"]["body"] == {"principalId": SP, "resourceId": GRAPH, "appRoleId": "role0"}
    assert (row["permission_needed"], row["disposition"]) == ("AppRoleAssignment.ReadWrite.All", "safe")
    assert row["az_rest"].splitlines()[1] == (
        f"az rest --method delete --url https://graph.microsoft.com/v1.0/servicePrincipals/{SP}/appRoleAssignments/as0"
    )


def test_one_action_answers_several_findings(con, plan):
    add(con, "app_inventory")
    add(con, "app_permissions", permission="Mail.Read", permission_type="application", privilege_level="high",
        usage="unused", in_manifest=False)  # fmt: skip
    add(con, "stg_app_role_assignments", assignment_id="as0", service_principal_id=SP, resource_id=GRAPH,
        app_role_id="role0", permission="Mail.Read")  # fmt: skip
    (row,) = plan()
    findings = con.execute("SELECT list(finding_id ORDER BY finding_id), count(DISTINCT policy_id) FROM findings")
    assert (row["finding_ids"], 2) == findings.fetchone()


def test_settings_of_the_tenant_are_one_review_that_names_no_app(con, plan):
    add(con, "stg_organization", tenant_id="t1")
    for setting in ("user_consent", "risky_app_consent"):
        add(con, "consent_posture", setting_id=setting, verdict="risky", reason=f"{setting} is open.")
    (row,) = plan()
    assert (row["action_type"], row["display_name"], row["app_id"]) == ("review_settings", "Tenant settings", "")
    assert row["title"] == "Review the settings of the tenant (consent-too-broad)"
    assert len(row["finding_ids"]) == 2
    assert (row["method"], row["disposition"]) == (None, "needs_review")
    assert not [step for step in row["steps"] if "sign-in" in step]


def test_what_is_used_is_weighed_by_a_person(con, plan):
    add(con, "app_inventory", **OUTSIDE)
    add(con, "app_permissions", permission="Sites.FullControl.All", permission_type="application",
        privilege_level="high", usage="used")  # fmt: skip
    (row,) = plan()
    assert (row["action_type"], row["disposition"]) == ("review_app", "needs_review")
    assert (row["method"], row["path"], row["body"], row["powershell"]) == (None, None, None, None)
    assert row["undo"]["method"] is None


def test_no_review_where_another_finding_already_removes_the_permission(con, plan):
    add(con, "app_inventory", **OUTSIDE)
    add(con, "app_permissions", permission="Mail.Read", privilege_level="high", consent_type="user", consented_users=1)
    add(con, "stg_delegated_grants", grant_id="g", service_principal_id=SP, resource_id=GRAPH,
        consent_type="Principal", principal_id="u1", scopes=["Mail.Read", "openid"])  # fmt: skip
    (row,) = plan()
    assert row["action_type"] == "remove_scopes"
    assert len(row["finding_ids"]) == 2


def test_an_unused_app_is_disabled_and_its_credential_not_renewed(con, plan):
    add(con, "app_inventory", last_used_at="2026-01-01")
    add(con, "app_credentials", ends_at="2026-11-20", last_used_at="2026-01-01")
    (row,) = plan()
    assert (row["method"], row["path"], row["body"]) == (
        "PATCH",
        f"/v1.0/servicePrincipals/{SP}",
        {"accountEnabled": False},
    )
    assert (row["undo"]["method"], row["undo"]["body"]) == ("PATCH", {"accountEnabled": True})
    assert (row["disposition"], row["permission_needed"]) == ("safe", "Application.ReadWrite.All")
    assert len(row["finding_ids"]) == 2
    assert any("usually within an hour" in step for step in row["steps"])


def test_an_expiring_credential_of_a_live_app_is_renewed_by_its_team(con, plan):
    add(con, "app_inventory")
    add(con, "app_credentials", ends_at="2026-11-20")
    (row,) = plan()
    assert (row["action_type"], row["method"], row["effort"]) == ("renew_credential", None, "high")
    assert row["title"] == "Renew the secret of Payroll Sync before 2026-11-20"


@pytest.mark.parametrize(
    ("origin", "path"),
    [("application", f"applications/{REGISTRATION}"), ("service_principal", f"servicePrincipals/{SP}")],
)
def test_an_unused_secret_is_removed_where_it_is(con, plan, origin: str, path: str):
    add(con, "app_inventory")
    add(con, "app_credentials", last_used_at="2026-01-02", credential_origin=origin)
    (row,) = [row for row in plan() if row["action_type"] == "remove_credential"]
    assert (row["method"], row["path"], row["body"]) == ("POST", f"/v1.0/{path}/removePassword", {"keyId": "k1"})
    assert row["undo"]["method"] is None
    assert "cannot be restored" in row["undo"]["note"]
    assert row["disposition"] == "needs_review"  # nothing that cannot be undone is safe


def test_an_unused_certificate_goes_by_writing_the_list_that_stays(con, plan):
    add(con, "app_inventory")
    add(con, "app_credentials", last_used_at="2026-01-02", credential_type="certificate", key_id="k2")
    keys = [{"keyId": "K1", "type": "AsymmetricX509Cert", "key": None}, {"keyId": "K2"}, {"keyId": "K3"}]
    add(con, "stg_applications", application_id=REGISTRATION, app_id=APP, key_credentials=json.dumps(keys))
    (row,) = plan()
    assert (row["method"], row["path"]) == ("PATCH", f"/v1.0/applications/{REGISTRATION}")
    assert row["body"] == {"keyCredentials": [{"keyId": "K1", "type": "AsymmetricX509Cert"}, {"keyId": "K3"}]}


def test_no_request_for_a_certificate_whose_neighbours_are_not_known(con, plan):
    add(con, "app_inventory")
    add(con, "app_credentials", last_used_at="2026-01-02", credential_type="certificate", key_id="k2")
    (row,) = plan()
    assert (row["method"], row["path"]) == (None, None)
    assert row["title"].endswith("by hand")


def test_the_user_who_changed_the_app_last_is_proposed_as_owner(con, plan):
    add(con, "app_inventory", owner_count=0, privilege_level="high")
    for user, enabled, kind in (("u1", True, "Member"), ("u2", False, "Member"), ("u3", True, "Guest")):
        add(con, "stg_users", user_id=user, display_name=f"Name {user}", account_enabled=enabled, user_type=kind)
    for number, user in enumerate(("u1", "u2", "u3")):
        add(con, "stg_directory_audits", audit_id=user, activity_at=f"2026-10-0{number + 1}",
            activity="Update application", actor_id=user, target_ids=[REGISTRATION])  # fmt: skip
    (row,) = plan()
    assert (row["method"], row["path"]) == ("POST", f"/v1.0/applications/{REGISTRATION}/owners/$ref")
    assert row["body"] == {"@odata.id": "https://graph.microsoft.com/v1.0/directoryObjects/u1"}
    assert (row["undo"]["method"], row["undo"]["path"]) == (
        "DELETE",
        f"/v1.0/applications/{REGISTRATION}/owners/u1/$ref",
    )
    assert row["title"] == "Make Name u1 an owner of Payroll Sync"


def test_without_a_candidate_an_owner_has_to_be_found(con, plan):
    add(con, "app_inventory", owner_count=0, privilege_level="high")
    (row,) = plan()
    assert (row["method"], row["title"]) == (None, "Find an owner for Payroll Sync")


def test_an_app_that_came_back_is_disabled_until_somebody_explains_it(con, plan):
    add(con, "app_inventory")
    add(con, "stg_directory_audits", audit_id="a", activity_at="2026-11-11", target_ids=[SP],
        activity="Add service principal credentials")  # fmt: skip
    add(con, "stg_sign_ins", sign_in_id="s", created_at="2026-11-12", app_id=con.execute(
        "SELECT app_id FROM app_inventory").fetchone()[0])  # fmt: skip
    (row,) = plan()
    assert (row["action_type"], row["disposition"], row["severity"]) == ("disable_sign_in", "needs_review", "critical")


def test_first_what_removes_most_risk_for_the_least_disruption(con, plan):
    for number, risk in enumerate((10, 90)):
        add(con, "app_inventory", service_principal_id=f"sp{number}", app_id=f"a{number}", risk_score=risk,
            last_used_at="2026-01-01", display_name=f"App {number}")  # fmt: skip
    add(con, "app_inventory", service_principal_id="sp2", app_id="a2", owner_count=0, privilege_level="high")
    add(con, "app_inventory", **{**OUTSIDE, "service_principal_id": "sp3", "app_id": "a3"})
    add(con, "app_permissions", service_principal_id="sp3", permission_type="application", privilege_level="high")
    rows = plan()
    assert [row["priority"] for row in rows] == [1, 2, 3, 4]
    # two medium findings switched off safely: 20 x 1.9 / 1 and 20 x 1.1 / 1; a high one that somebody has to weigh:
    # 100 / 8 at least; an owner to be found
    assert [row["service_principal_id"] for row in rows] == ["sp1", "sp0", "sp3", "sp2"]
    assert [row["wave"] for row in rows] == [1, 1, 3, 3]


def test_resolved_and_audit_findings_call_for_nothing(con, plan):
    add(con, "app_inventory", owner_count=0, privilege_level="high")
    assert len(plan()) == 1
    con.execute("UPDATE findings SET state = 'resolved'")
    actions.plan(con)
    assert con.execute("SELECT count(*) FROM remediation_actions").fetchone() == (0,)
    con.execute("UPDATE findings SET state = 'open', status = 'audit'")
    actions.plan(con)
    assert con.execute("SELECT count(*) FROM remediation_actions").fetchone() == (0,)


def test_the_same_warehouse_gives_the_same_plan(con, plan):
    add(con, "app_inventory", owner_count=0, privilege_level="high", last_used_at="2026-01-01")
    assert plan() == plan()


# Hostile names

HOSTILE = [
    "'; Remove-Item -Recurse / #",
    "\u2019; Stop-Computer; \u2018",
    '$(reboot) `reboot` "$HOME"',
    "line\r\nInvoke-Evil\u2028Invoke-Evil\u0085",
    "{app} %s {0.__class__}",
    "\u202egnp.exe\x1b[31m",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_names_cannot_leave_their_place(con, plan, name: str):
    add(con, "app_inventory", last_used_at="2026-01-01", display_name=name)
    (row,) = plan()
    for column in ("title", "why", "display_name", "verify"):
        assert not any(c in row[column] for c in "\r\n\x1b\u2028\u0085\u202e")
    assert len(row["powershell"].splitlines()) == 3
    assert row["powershell"].splitlines()[0].startswith("# Disable sign-in of ")
    assert len(row["curl"].splitlines()) == 2


@pytest.mark.parametrize("name", HOSTILE)
def test_powershell_text_is_quoted(name: str):
    text = powershell(Request("PATCH", f"/v1.0/x/{name}", {"scope": name}), name, "P").splitlines()[-1]
    # Between the first and the last quote of each argument every quote sign is doubled.
    path = text.split("-Uri '", 1)[1].split("' -ContentType", 1)[0]
    body = text.split("-Body '", 1)[1][:-1]
    for part in (path, body):
        for quote in "'\u2018\u2019":
            assert part.replace(quote * 2, "").count(quote) == 0
    assert json.loads(body.replace("''", "'")) == {"scope": name}


@pytest.mark.skipif(not shutil.which("sh"), reason="needs a POSIX shell")
@pytest.mark.parametrize("name", HOSTILE)
def test_a_shell_reads_the_curl_text_as_meant(name: str, tmp_path: Path):
    shim = tmp_path / "curl"
    shim.write_text('#!/bin/sh\nfor a in "$@"; do printf "%s\\0" "$a"; done\n')
    shim.chmod(0o755)
    text = curl(Request("PATCH", "/v1.0/x", {"scope": name}), name)
    done = subprocess.run(
        ["sh", "-c", text], capture_output=True, env={"PATH": f"{tmp_path}:/usr/bin:/bin", "TOKEN": "t"}, check=True
    )
    arguments = done.stdout.decode().split("\0")
    assert json.loads(arguments[arguments.index("--data") + 1]) == {"scope": name}
    assert arguments[-2] == "https://graph.microsoft.com/v1.0/x"
