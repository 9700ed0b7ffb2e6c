"""Privilege levels of the permissions that matter most, who ranks above whom, and what may narrow them."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from conftest import Bench

from appgov_lib.store.models import REFERENCE_DIR, insert_rows

GRAPH = "00000003-0000-0000-c000-000000000000"
EXCHANGE = "00000002-0000-0ff1-ce00-000000000000"
SHAREPOINT = "00000003-0000-0ff1-ce00-000000000000"
PUBLISHED = Path(__file__).resolve().parents[3] / "shared" / "graph" / "graph-permissions.csv"
RANK = {"low": 0, "medium": 1, "high": 2}

HIGH = """
    RoleManagement.ReadWrite.Directory AppRoleAssignment.ReadWrite.All Application.ReadWrite.All
    DelegatedPermissionGrant.ReadWrite.All Directory.ReadWrite.All Domain.ReadWrite.All
    Domain-InternalFederation.ReadWrite.All Organization.ReadWrite.All Policy.ReadWrite.ConditionalAccess
    Policy.ReadWrite.Authorization Policy.ReadWrite.PermissionGrant Policy.ReadWrite.AuthenticationMethod
    PrivilegedAccess.ReadWrite.AzureADGroup RoleAssignmentSchedule.ReadWrite.Directory
    RoleEligibilitySchedule.ReadWrite.Directory User.ReadWrite.All User.EnableDisableAccount.All
    User-PasswordProfile.ReadWrite.All UserAuthenticationMethod.ReadWrite.All UserAuthMethod-TAP.ReadWrite.All
    UserAuthMethod-Password.ReadWrite.All Group.ReadWrite.All GroupMember.ReadWrite.All
    AgentIdentityBlueprint.AddRemoveCreds.All Synchronization.ReadWrite.All EntitlementManagement.ReadWrite.All
    DeviceManagementConfiguration.ReadWrite.All DeviceManagementManagedDevices.PrivilegedOperations.All
    DeviceManagementScripts.ReadWrite.All Mail.Read Mail.ReadWrite Mail.Send Files.Read.All Files.ReadWrite.All
    Sites.Read.All Sites.ReadWrite.All Sites.FullControl.All Chat.Read.All ChannelMessage.Read.All Notes.Read.All
    OnlineMeetingTranscript.Read.All eDiscovery.Read.All BitlockerKey.Read.All ThreatHunting.Read.All
"""
"""Application permissions that control the tenant or open everybody's content."""


def judge(bench: Bench, *held: tuple[str, str, str]) -> dict[tuple[str, str, str], dict[str, object]]:
    """Judgements of permissions given as (resource app id, permission, type)."""
    bench.table("called_endpoints", "permissions VARCHAR[] | permission_type")
    bench.table("consent_grants", "resource_app_id | permission | permission_type")
    insert_rows(bench.con, "consent_grants", held)
    rows = bench.run("permission_judgements")
    return {(r["resource_app_id"], r["permission"], r["permission_type"]): r for r in rows}


def reviewed() -> list[dict[str, str]]:
    """The reviewed table."""
    with (REFERENCE_DIR / "permission_levels.csv").open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


def published() -> set[tuple[str, str]]:
    """Every published Graph permission and its type."""
    if not PUBLISHED.exists():
        pytest.skip("the public list of Graph permissions is not beside the checkout")
    with PUBLISHED.open(encoding="utf-8", newline="") as handle:
        return {(row["value"], row["type"].lower()) for row in csv.DictReader(handle)}


def test_control_of_the_tenant_and_everybodys_content_are_high(bench: Bench) -> None:
    found = judge(bench, *((GRAPH, name, "application") for name in HIGH.split()))
    assert {key[1] for key, row in found.items() if row["privilege_level"] != "high"} == set()
    assert len(found) == len(HIGH.split())


@pytest.mark.parametrize(
    ("resource", "name", "kind", "level"),
    [
        (EXCHANGE, "full_access_as_app", "application", "high"),
        (EXCHANGE, "Exchange.ManageAsApp", "application", "high"),
        (SHAREPOINT, "Sites.FullControl.All", "application", "high"),
        (SHAREPOINT, "Sites.Selected", "application", "medium"),
        ("797f4846-ba00-4fd7-ba43-dac1f8f63013", "user_impersonation", "delegated", "high"),  # Azure Resource Manager
        ("cfa8b339-82a2-471a-a3c9-0fc0be7a4093", "user_impersonation", "delegated", "high"),  # Key Vault
        ("00000002-0000-0000-c000-000000000000", "Directory.ReadWrite.All", "application", "high"),  # retired
        ("c5393580-f805-4401-95e8-94b7a6ef2fc2", "ActivityFeed.Read", "application", "medium"),
        ("fc780465-2017-40d4-a0c5-307022471b92", "Machine.LiveResponse", "application", "high"),
        (GRAPH, "User.Read.All", "application", "medium"),
        (GRAPH, "Directory.Read.All", "application", "medium"),
        (GRAPH, "Application.ReadWrite.OwnedBy", "application", "medium"),
        (GRAPH, "Policy.Read.B2BManagementPolicy", "delegated", "low"),  # the name holds "Manage", the verb only reads
        (GRAPH, "Reports.Read.All", "application", "low"),
        (GRAPH, "User.Read", "delegated", "low"),
        (GRAPH, "offline_access", "delegated", "low"),
    ],
)
def test_levels_of_well_known_permissions(bench: Bench, resource: str, name: str, kind: str, level: str) -> None:
    assert judge(bench, (resource, name, kind))[resource, name, kind]["privilege_level"] == level


def test_writing_never_ranks_below_reading_nor_no_user_below_a_user(bench: Bench) -> None:
    names = published()
    found = judge(bench, *((GRAPH, name, kind) for name, kind in sorted(names)))
    level = {key[1:]: RANK[str(row["privilege_level"])] for key, row in found.items()}
    wrong = [
        f"{name} {kind}"
        for name, kind in sorted(names)
        if (wider := (name.replace(".Read.", ".ReadWrite."), kind)) in names and level[wider] < level[name, kind]
    ]
    wrong += [
        f"{name} delegated"
        for name, kind in sorted(names)
        if kind == "delegated" and (name, "application") in names and level[name, "application"] < level[name, kind]
    ]
    assert wrong == []


def test_every_graph_permission_has_a_level_and_none_holds_most_of_them(bench: Bench) -> None:
    names = published()
    found = judge(bench, *((GRAPH, name, kind) for name, kind in sorted(names)))
    assert len(found) == len(names) >= 1500
    levels = [row["privilege_level"] for row in found.values()]
    assert set(levels) == set(RANK)
    assert max(levels.count(level) for level in RANK) <= len(levels) / 2
    assert all(row["level_reason"] for row in found.values())


def test_reviewed_graph_names_are_published_names() -> None:
    names = published()
    ours = {(row["permission"], row["permission_type"]) for row in reviewed() if row["resource_app_id"] == GRAPH}
    assert ours <= names, sorted(ours - names)


def test_every_reviewed_row_says_why_and_whence() -> None:
    rows = reviewed()
    assert all(row["reason"] and row["source"] and row["service"] for row in rows)
    keys = [(row["resource_app_id"], row["permission"], row["permission_type"]) for row in rows]
    assert len(set(keys)) == len(keys)
    writes = ("ReadWrite", ".Send", "FullControl")
    assert [r["permission"] for r in rows if r["access"] == "read" and any(w in r["permission"] for w in writes)] == []


@pytest.mark.parametrize(
    "name",
    [
        "Sites.Selected",
        "Files.SelectedOperations.Selected",
        "Lists.SelectedOperations.Selected",
        "ListItems.SelectedOperations.Selected",
        "Application.ReadWrite.OwnedBy",
        "Files.ReadWrite.AppFolder",
        "Group.Selected",
        "Chat.Read.WhereInstalled",
        "TeamsAppInstallation.ReadWriteSelfForTeam.All",
    ],
)
def test_permissions_for_chosen_objects_are_marked(bench: Bench, name: str) -> None:
    row = judge(bench, (GRAPH, name, "application"))[GRAPH, name, "application"]
    assert row["is_scope_limited"] is True
    assert row["privilege_level"] != "high"


def test_what_reaches_everything_is_not_marked_as_limited(bench: Bench) -> None:
    held = [(GRAPH, name, "application") for name in ("Group.Read.All", "Chat.Read.All", "Sites.Read.All", "Mail.Read")]
    found = judge(bench, *held, ("my-own-api", "Orders.Selected", "application"), (GRAPH, "User.Read", "delegated"))
    assert {row["is_scope_limited"] for row in found.values()} == {False}


def test_where_an_administrator_may_have_narrowed_a_permission(bench: Bench) -> None:
    expected = {
        (GRAPH, "Mail.Read", "application"): "exchange_application_access",
        (GRAPH, "Calendars.ReadWrite", "application"): "exchange_application_access",
        (GRAPH, "Contacts.Read", "application"): "exchange_application_access",
        (GRAPH, "MailboxSettings.Read", "application"): "exchange_application_access",
        (EXCHANGE, "full_access_as_app", "application"): "exchange_application_access",
        (EXCHANGE, "IMAP.AccessAsApp", "application"): "exchange_mailbox_permissions",
        (GRAPH, "OnlineMeetings.Read.All", "application"): "teams_application_access",
        (GRAPH, "Mail.Read", "delegated"): None,
        (GRAPH, "Files.Read.All", "application"): None,
        (EXCHANGE, "Exchange.ManageAsApp", "application"): None,
        ("my-own-api", "Mail.Read", "application"): None,
    }
    found = judge(bench, *expected)
    assert {key: row["may_be_limited_by"] for key, row in found.items()} == expected
