"""What the policies about state and daily use find in the sample tenant, counted here from its records."""

from __future__ import annotations

import csv
import datetime as dt
import json
import unicodedata
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sample_tenant

import appgov_lib
from appgov_lib.sample import AS_OF, answer_key
from appgov_lib.store.models import REFERENCE_DIR

MICROSOFT = "f8cdef31-a31e-4b4a-93e4-5f571e91255a"
FIRST_DAY = AS_OF - dt.timedelta(days=6)
ABOUT_NEW_APPS = (
    "app-created",
    "new-highly-privileged-app",
    "new-app-other-apis",
    "new-high-risk-app",
    "new-uncertified-app",
    "new-app-high-data",
)
ABOUT_TRACES = (
    # the sample's log and readings hold nothing of these kinds, see the tests that say so of its records
    "app-removed",
    "identifier-uri-changed",
    "logout-url-changed",
    "opened-to-other-tenants",
    "application-administrator-on-user",
)


@pytest.fixture(scope="module")
def con(sample_home: Path) -> Iterator[Any]:
    """The built sample warehouse, read-only."""
    made = appgov_lib.connect(tenant="sample", home=sample_home)
    yield made
    made.close()


def found(con: Any, policy: str) -> set[str]:
    """Apps with a finding of a policy, which was judged."""
    assert con.execute("SELECT reason FROM skipped_checks WHERE policy_id = ?", [policy]).fetchall() == []
    query = "SELECT app_id FROM findings WHERE policy_id = ? AND state <> 'resolved'"
    return {app for (app,) in con.execute(query, [policy]).fetchall()}


def others() -> dict[str, dict[str, Any]]:
    """Service principals that are neither Microsoft's nor managed identities, by app id; what is not said is empty."""
    return {
        app: {
            **row,
            "displayName": row.get("displayName") or "",
            "replyUrls": row.get("replyUrls") or [],
            "createdDateTime": row.get("createdDateTime") or "",
        }
        for app, row in sample_tenant.service_principals().items()
        if row.get("appOwnerOrganizationId") != MICROSOFT and row.get("servicePrincipalType") != "ManagedIdentity"
    }


def audits() -> list[dict[str, Any]]:
    """Audit events of the seven days."""
    rows = sample_tenant.rows("/v1.0/auditLogs/directoryAudits")
    return [row for row in rows if FIRST_DAY <= dt.date.fromisoformat(row["activityDateTime"][:10]) <= AS_OF]


def test_changed_reply_addresses_of_highly_privileged_apps(con: Any) -> None:
    high = {app for (app,) in con.execute("SELECT app_id FROM app_inventory WHERE privilege_level = 'high'").fetchall()}
    own = {row["id"]: app for app, row in sample_tenant.applications().items()}
    own |= {row["id"]: app for app, row in others().items()}
    expected = set()
    for event in audits():
        for target in event["targetResources"]:
            for changed in target["modifiedProperties"]:
                if changed["displayName"] == "AppAddress" and changed["oldValue"] != changed["newValue"]:
                    expected.add(own[target["id"]])
    assert found(con, "reply-url-changed") == expected & high & set(others())
    assert expected & high
    # all of them are addresses of the own machine, which nobody else can take
    assert found(con, "reply-url-of-unknown-domain") == set()


def test_names_with_signs_that_cannot_be_seen(con: Any) -> None:
    expected = {
        app
        for app, row in others().items()
        # C: control signs, format signs and the like; the joiner of emoji is allowed
        if any(unicodedata.category(sign).startswith("C") and sign != "\u200d" for sign in row["displayName"])
    }
    people = {row["displayName"].casefold() for row in sample_tenant.rows("/v1.0/users?$top=999")}
    expected |= {app for app, row in others().items() if row["displayName"].casefold() in people}
    assert found(con, "odd-app-name") == expected
    hostile = {quiet["app_id"] for quiet in answer_key()["quiet"] if quiet["story"] == "hostile-name"}
    assert expected
    assert expected <= hostile


def test_apps_disabled_by_microsoft(con: Any) -> None:
    expected = {app for app, row in others().items() if row.get("disabledByMicrosoftStatus")}
    assert found(con, "disabled-by-microsoft") == expected
    assert len(expected) == 1


def test_quiet_apps_get_no_finding_above_info(con: Any) -> None:
    quiet = {row["app_id"] for row in answer_key()["quiet"] if "*" in row["must_not"]}
    query = "SELECT policy_id, app_id FROM findings WHERE severity <> 'info' AND state <> 'resolved'"
    assert [pair for pair in con.execute(query).fetchall() if pair[1] in quiet] == []


def test_no_listed_or_imitating_app_is_there(con: Any) -> None:
    with (REFERENCE_DIR / "abused_apps.csv").open(encoding="utf-8", newline="") as handle:
        listed = {row["app_id"] for row in csv.DictReader(handle)}
    assert found(con, "known-abused-app") == listed & set(others()) == set()
    assert found(con, "imitates-microsoft") == set()
    assert not [row["displayName"] for row in others().values() if "microsoft" in row["displayName"].lower()]


def test_privileged_roles_of_apps(con: Any) -> None:
    privileged = {
        row["id"] for row in sample_tenant.rows("/beta/roleManagement/directory/roleDefinitions") if row["isPrivileged"]
    }
    assigned = sample_tenant.rows("/v1.0/roleManagement/directory/roleAssignments")
    holders = {row["principalId"] for row in assigned if row["roleDefinitionId"] in privileged}
    assert privileged
    assert holders
    expected = {app for app, row in others().items() if row["id"] in holders}
    assert found(con, "privileged-role-on-app") == expected
    assert found(con, "foreign-app-with-tenant-power") == set()


def test_registrations_for_several_tenants_have_their_lock(con: Any) -> None:
    expected = set()
    for app, row in sample_tenant.applications().items():
        lock = row.get("servicePrincipalLockConfiguration") or {}
        if row["signInAudience"] != "AzureADMyOrg" and not (lock.get("isEnabled") and lock.get("allProperties")):
            expected.add(app)
    assert found(con, "property-lock-missing") == expected & set(others())


def test_reply_addresses_are_safe(con: Any) -> None:
    urls = {app: row["replyUrls"] for app, row in others().items()}
    unsafe = {app for app, found in urls.items() if any(u.startswith("http://") or "*" in u for u in found)}
    assert found(con, "unsafe-reply-url") == unsafe
    assert found(con, "reclaimable-reply-url") == {
        app for app, found in urls.items() if any("azurewebsites.net" in u for u in found)
    }


def test_no_app_is_a_week_old(con: Any) -> None:
    new = [row["createdDateTime"] for row in others().values() if row["createdDateTime"][:10] >= str(FIRST_DAY)]
    assert new == []
    assert {policy: found(con, policy) for policy in ABOUT_NEW_APPS} == {policy: set() for policy in ABOUT_NEW_APPS}


def test_the_log_holds_no_trace_of_the_other_changes(con: Any) -> None:
    activities = {event["activityDisplayName"].casefold() for event in audits()}
    assert not [name for name in activities if "role" in name or name.startswith(("delete", "remove service"))]
    names = {p["displayName"] for e in audits() for t in e["targetResources"] for p in t["modifiedProperties"]}
    assert not names & {"AppIdentifierUri", "AvailableToOtherTenants", "LogoutUrl"}
    assert {policy: found(con, policy) for policy in ABOUT_TRACES} == {policy: set() for policy in ABOUT_TRACES}


def busiest(calls: list[dict[str, Any]]) -> tuple[int, int]:
    """Calls on the busiest day of the seven, and of the 56 days before."""
    days: dict[dt.date, int] = defaultdict(int)
    for call in calls:
        days[dt.date.fromisoformat(call["Timestamp"][:10])] += 1
    before = [number for day, number in days.items() if FIRST_DAY - dt.timedelta(days=56) <= day < FIRST_DAY]
    return max((n for day, n in days.items() if FIRST_DAY <= day <= AS_OF), default=0), max(before, default=0)


def test_mail_is_sent_searched_and_ruled_as_ever(con: Any) -> None:
    sent, searched, ruled = set(), set(), set()
    judged = others()
    for app, calls in sample_tenant.calls_by_app().items():
        paths = [(call, call["RequestUri"].split("?")[0]) for call in calls if app in judged]
        now, before = busiest([call for call, path in paths if path.endswith("/sendMail")])
        if now >= max(200, 3 * before):
            sent.add(app)
        now, before = busiest([call for call, path in paths if "$search" in call["RequestUri"]])
        if now >= max(100, 3 * before):
            searched.add(app)
        now, before = busiest([call for call, path in paths if path.endswith("/messageRules")])
        if now >= max(5, 3 * before):
            ruled.add(app)
    assert found(con, "mail-sending-by-app") == sent
    assert found(con, "mail-search-by-app") == searched
    assert found(con, "mail-rules-by-app") == ruled


def test_spikes_of_calls_to_a_service(con: Any) -> None:
    rows = con.execute(
        "SELECT app_id, service, CAST(day AS DATE), sum(calls) FROM api_calls_daily WHERE CAST(day AS DATE) <= ? "
        "GROUP BY ALL", [AS_OF]
    ).fetchall()  # fmt: skip
    now: dict[tuple[str, str], int] = defaultdict(int)
    before: dict[tuple[str, str], int] = defaultdict(int)
    for app, service, day, calls in rows:
        if day >= FIRST_DAY:
            now[app, service] = max(now[app, service], int(calls))
        elif day >= FIRST_DAY - dt.timedelta(days=56):
            before[app, service] = max(before[app, service], int(calls))
    known = {app for app, _, day, _ in rows if day <= FIRST_DAY - dt.timedelta(days=15)}
    expected = {
        app
        for (app, service), calls in now.items()
        if service in ("Exchange", "OneDrive", "SharePoint", "Teams")
        and calls >= max(1000, 3 * before[app, service])
        and app in known & set(others())
    }
    assert found(con, "graph-call-spike") == expected


def test_the_evidence_of_a_finding_is_what_the_log_says(con: Any) -> None:
    events = {
        (event["targetResources"][0]["id"], event["initiatedBy"]["user"]["userPrincipalName"])
        for event in audits()
        if event["activityDisplayName"] == "Update application"
    }
    query = "SELECT app_id, CAST(evidence AS VARCHAR) FROM findings WHERE policy_id = 'reply-url-changed'"
    for app, evidence in con.execute(query).fetchall():
        told = {
            (sample_tenant.applications()[app]["id"], change["actor_name"])
            for change in json.loads(evidence)["changes"]
        }
        assert told <= events
