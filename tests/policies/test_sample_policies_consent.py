"""The policies about the state of permissions and consent on the sample tenant, against its records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sample_tenant import grants, roles_of, rows, service_principals

import appgov_lib
from appgov_lib.detect.policy import load_policies
from appgov_lib.sample import AS_OF, answer_key

MICROSOFT = "f8cdef31-a31e-4b4a-93e4-5f571e91255a"
EXCHANGE = "00000002-0000-0ff1-ce00-000000000000"
EXCHANGE_ROLES = {"29232cdf-9323-42fd-ade2-1d097af3e4de", "62e90394-69f5-4237-9190-012177145e10"}
READS_MAIL = {"Mail.Read", "Mail.ReadWrite"}
OURS = {
    "user-consented-file-access",
    "tenant-wide-delegated-consent",
    "directory-role-power-granted",
    "privileged-graph-permission",
    "exchange-full-access",
    "exchange-administrator-app",
    "mailbox-read-for-all",
    "legacy-exchange-access",
    "sensitive-app-role",
    "consent-too-broad",
    "consent-guard-weakened",
    "consent-requests-waiting",
    "manifest-asks-for-more",
    "consent-surge",
    "privileged-user-consented",
    "workload-identity-at-risk",
}


@pytest.fixture(scope="module")
def con(sample_home: Path) -> Iterator[Any]:
    """The built sample warehouse, read-only."""
    made = appgov_lib.connect(tenant="sample", home=sample_home)
    yield made
    made.close()


def found(con: Any, policy: str) -> set[str]:
    """Service principals (or the tenant) that one policy finds."""
    query = "SELECT service_principal_id FROM findings WHERE policy_id = ?"
    return {principal for (principal,) in con.execute(query, [policy]).fetchall()}


def judged() -> dict[str, dict[str, Any]]:
    """Service principals by object id that are neither Microsoft's nor managed identities, and may sign in."""
    return {
        row["id"]: row
        for row in service_principals().values()
        if row.get("appOwnerOrganizationId") != MICROSOFT
        and row.get("servicePrincipalType") != "ManagedIdentity"
        and row.get("accountEnabled")
    }


def exchange_roles_of(principal: str) -> set[str]:
    """Application permissions of Exchange Online that an app holds."""
    exchange = service_principals()[EXCHANGE]
    names = {role["id"]: role["value"] for role in exchange["appRoles"]}
    held = rows(f"/v1.0/servicePrincipals/{principal}/appRoleAssignments")
    return {names[row["appRoleId"]] for row in held if row["resourceId"] == exchange["id"]}


def test_exactly_the_apps_that_may_read_all_mail_are_found(con: Any) -> None:
    expected = {
        principal
        for principal, row in judged().items()
        if READS_MAIL & (roles_of(row["appId"]) | exchange_roles_of(principal))
    }
    assert len(expected) == 3
    assert found(con, "mailbox-read-for-all") == expected


def test_exactly_the_apps_that_administer_exchange_are_found(con: Any) -> None:
    administrators = {
        row["principalId"]
        for row in rows("/v1.0/roleManagement/directory/roleAssignments")
        if row["roleDefinitionId"] in EXCHANGE_ROLES and row["directoryScopeId"] == "/"
    }
    expected = {p for p in judged() if p in administrators and "Exchange.ManageAsApp" in exchange_roles_of(p)}
    assert len(expected) == 1
    assert found(con, "exchange-administrator-app") == expected


def test_exactly_the_apps_with_a_wave_of_consents_are_found(con: Any) -> None:
    recent: set[tuple[str, str]] = set()
    for event in rows("/v1.0/auditLogs/directoryAudits?$filter=activityDisplayName eq 'Consent to application'"):
        if event["activityDateTime"][:10] > (AS_OF - timedelta(days=90)).isoformat():
            recent.add((event["targetResources"][0]["id"], event["initiatedBy"]["user"]["id"]))
    users = {(g["clientId"], g["principalId"]) for g in grants() if g["consentType"] == "Principal"}
    new = Counter(app for app, user in users if (app, user) in recent)
    old = Counter(app for app, user in users if (app, user) not in recent)
    home = answer_key()["tenant_id"]
    outside = {p for p, row in judged().items() if row["appOwnerOrganizationId"] != home}
    expected = {app for app in new if app in outside and new[app] >= 5 and new[app] * 2 >= old[app]}
    assert len(expected) == 1
    assert found(con, "consent-surge") == expected


def test_exactly_the_risk_that_stands_is_found(con: Any) -> None:
    expected = {
        row["id"]
        for row in rows("/v1.0/identityProtection/riskyServicePrincipals")
        if row["riskState"] in {"atRisk", "confirmedCompromised"} and row["riskLevel"] in {"medium", "high"}
    }
    assert len(expected) == 2
    assert found(con, "workload-identity-at-risk") == expected & judged().keys()


def test_requests_that_wait_are_a_finding_about_the_tenant(con: Any) -> None:
    limit = (AS_OF - timedelta(days=6)).isoformat()
    asked = "/v1.0/identityGovernance/appConsent/appConsentRequests"
    waiting = [
        item
        for request in rows(asked)
        for item in rows(f"{asked}/{request['id']}/userConsentRequests")
        if item["status"] == "InProgress" and item["createdDateTime"] < limit
    ]
    assert waiting
    query = "SELECT service_principal_id, app_id, display_name, measure, status FROM findings WHERE policy_id = ?"
    oldest = min(item["createdDateTime"] for item in waiting)[:10]
    age = (AS_OF - type(AS_OF).fromisoformat(oldest)).days
    rows_found = con.execute(query, ["consent-requests-waiting"]).fetchall()
    assert rows_found == [(answer_key()["tenant_id"], "", "Tenant settings", age, "audit")]


def test_nothing_else_of_these_policies_is_found_and_none_is_skipped(con: Any) -> None:
    assert {policy.policy_id for policy in load_policies()} >= OURS
    firing = {
        "mailbox-read-for-all",
        "exchange-administrator-app",
        "consent-surge",
        "workload-identity-at-risk",
        "consent-requests-waiting",
    }
    assert {policy for policy in OURS if found(con, policy)} == firing
    skipped = {policy for (policy,) in con.execute("SELECT policy_id FROM skipped_checks").fetchall()}
    assert not OURS & skipped


def test_benign_look_alikes_stay_quiet(con: Any) -> None:
    quiet = {item["app_id"] for item in answer_key()["quiet"]}
    query = "SELECT policy_id, app_id FROM findings"
    assert [pair for pair in con.execute(query).fetchall() if pair[0] in OURS and pair[1] in quiet] == []
