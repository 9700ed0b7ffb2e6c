"""The dashboard and the consent posture of the sample tenant against what its generator planted."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import duckdb
import pytest
from sample_tenant import calls, grants, page, rows, service_principals

from appgov_lib.sample.key import answer_key
from appgov_lib.store.warehouse import connect

MICROSOFT = {"f8cdef31-a31e-4b4a-93e4-5f571e91255a", "72f988bf-86f1-41af-91ab-2d7cd011db47"}
MONTH = "2026-11"


@pytest.fixture(scope="module")
def con(sample_home: Path) -> duckdb.DuckDBPyConnection:
    """The warehouse of the sample tenant."""
    return connect("sample", sample_home)


def counted(row: dict[str, Any]) -> bool:
    """Whether the dashboard counts a service principal."""
    return row.get("appOwnerOrganizationId") not in MICROSOFT and row.get("servicePrincipalType") != "ManagedIdentity"


def tile(con: duckdb.DuckDBPyConnection, fact: str) -> tuple[Any, Any, str]:
    """Value, value before and coverage of a fact."""
    sql = "SELECT value, previous_value, coverage FROM overview_tiles WHERE fact_id = ?"
    return con.execute(sql, [fact]).fetchall()[0]


def test_settings_are_those_of_the_tenant(con: duckdb.DuckDBPyConnection) -> None:
    found = dict(con.execute("SELECT setting_id, verdict FROM consent_posture").fetchall())
    values = dict(con.execute("SELECT setting_id, value FROM consent_posture").fetchall())
    policy = page("/v1.0/policies/authorizationPolicy")
    assert values["guest_invitations"] == policy["allowInvitesFrom"]
    rights = policy["defaultUserRolePermissions"]
    assert (values["app_registration"] == "yes") is rights["allowedToCreateApps"]
    assert f"ManagePermissionGrantsForSelf.{values['user_consent']}" in rights["permissionGrantPoliciesAssigned"]
    asked = page("/v1.0/policies/adminConsentRequestPolicy")
    assert values["admin_consent_duration"] == f"{asked['requestDurationInDays']} days"
    assert values["admin_consent_reviewers"] == f"{len(asked['reviewers'])} reviewers"
    limits = page("/v1.0/policies/defaultAppManagementPolicy")["applicationRestrictions"]["passwordCredentials"]
    assert values["secret_lifetime"].startswith(limits[0]["maxLifetime"].strip("PD") + " days")
    # the tenant's own policy is wider than low, the workload policy only reports, the exception in force is stricter
    assert {found[s] for s in ("permission_grant_policies", "workload_conditional_access")} == {"weak"}
    assert {found[s] for s in ("user_consent", "risky_app_consent", "app_management_exceptions")} == {"safe"}
    assert "unknown" not in found.values()


def test_apps_are_counted_without_microsofts_own(con: duckdb.DuckDBPyConnection) -> None:
    # one service principal of the sample has no app id, so the rows are asked for, not the apps
    all_rows = rows("/v1.0/servicePrincipals?$top=999")
    apps = [row for row in all_rows if counted(row)]
    assert tile(con, "OV-1")[0] == len(apps) < len(all_rows)
    home = answer_key()["tenant_id"]
    unverified = [row for row in apps if not (row.get("verifiedPublisher") or {}).get("verifiedPublisherId")]
    assert tile(con, "OV-13-unverified")[0] == len(unverified)
    outside = [row for row in unverified if row.get("appOwnerOrganizationId") not in {home, None}]
    assert tile(con, "OV-24")[0] == len(outside)


def test_planted_apps_are_in_their_categories(con: duckdb.DuckDBPyConnection) -> None:
    found = set(con.execute("SELECT category, app_id FROM app_categories").fetchall())
    key = answer_key()
    for policy, app in key["expected_findings"]:
        if policy == "unused-app":
            assert ("unused", app) in found
        if policy == "overprivileged-app":
            assert ("overprivileged", app) in found
        if policy == "highly-privileged-unverified-app":
            assert {("highly_privileged", app), ("external_unverified", app)} <= found
    in_use = {row["ApplicationId"] for row in calls() if row["Timestamp"] >= "2026-10-17"}
    assert not {app for category, app in found if category == "unused"} & in_use


def test_data_usage_is_the_sum_of_the_calls(con: duckdb.DuckDBPyConnection) -> None:
    apps = {app for app, row in service_principals().items() if counted(row)}
    sums: Counter[str] = Counter()
    for row in calls():
        path = urlsplit(row["RequestUri"]).path
        if row["ApplicationId"] in apps and row["Timestamp"][:7] == MONTH and not path.endswith("/$batch"):
            kinds = {"chats": ("/chats", "/channels"), "files": ("/drive",), "messages": ("/messages", "/sendMail")}
            for kind, words in kinds.items():
                if any(word in path for word in words):
                    sums[kind] += row["ResponseSize"] or 0
                    break
    found = con.execute(
        "SELECT resource_type, bytes_returned FROM data_usage_by_resource_type WHERE month = DATE '2026-11-01'"
    ).fetchall()
    assert dict(found) == dict(sums)
    for kind in sums:
        assert tile(con, f"OV-12-{kind}")[::2] == (sums[kind], "complete")
    total = con.execute("SELECT sum(bytes_returned) FROM data_usage_monthly WHERE month = DATE '2026-11-01'").fetchall()
    assert tile(con, "OV-11")[0] == total[0][0] > sum(sums.values())


def test_incidents_and_scores(con: duckdb.DuckDBPyConnection) -> None:
    active = [row["id"] for row in rows("/v1.0/security/incidents") if row["status"] == "active"]
    assert [row[0] for row in con.execute("SELECT incident_id FROM latest_incidents").fetchall()] == active
    assert tile(con, "OV-6")[0] == len(active)
    newest = page("/v1.0/security/secureScores?$top=1")["value"][0]["controlScores"]
    about_apps = [row for row in newest if "app" in row["description"].lower() or "consent" in row["controlName"]]
    assert tile(con, "OV-16")[0] == sum(row["score"] for row in about_apps)
    # no event of the sample carries a label
    assert tile(con, "OV-10") == (None, None, "unknown")


def test_risky_grants_are_the_tenants(con: duckdb.DuckDBPyConnection) -> None:
    levels = {
        (app, permission): level
        for app, permission, level in con.execute(
            "SELECT service_principal_id, permission, privilege_level FROM app_permissions "
            "WHERE permission_type = 'delegated'"
        ).fetchall()
    }
    outside = {row["id"]: row for row in service_principals().values() if counted(row)}
    expected = set()
    for grant in grants():
        held = {levels.get((grant["clientId"], scope)) for scope in grant["scope"].split()}
        if grant["clientId"] in outside and grant["consentType"] == "Principal" and held & {"high", "medium"}:
            expected.add(grant["id"])
    found = dict(
        con.execute("SELECT grant_id, still_open FROM risky_grants WHERE let_in_by = 'user_consent'").fetchall()
    )
    assert set(found) == expected
    # users may only give low permissions to verified publishers: what nobody verified would not get in again
    for grant in grants():
        if grant["id"] in found:
            publisher = (outside[grant["clientId"]].get("verifiedPublisher") or {}).get("verifiedPublisherId")
            assert found[grant["id"]] is (None if publisher else False)
    others = con.execute("SELECT DISTINCT still_open FROM risky_grants WHERE let_in_by = 'administrator'").fetchall()
    assert others == [(None,)]


def test_the_phishing_app_shows_who_let_it_in(con: duckdb.DuckDBPyConnection) -> None:
    story = next(s for s in answer_key()["stories"] if s["story"] == "consent-phishing")
    found = con.execute(
        "SELECT count(*), count(consented_by_id), bool_and(consented_by_id = principal_id), bool_or(still_open) "
        "FROM risky_grants WHERE app_id = ?",
        [story["app_id"]],
    ).fetchall()
    users = story["facts"]["consented_users"]
    assert found == [(users, users, True, False)]
