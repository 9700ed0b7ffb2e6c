"""Marts about permissions: what an app holds, how far it reaches, whether it was used."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import pytest
from conftest import Bench

GRAPH = "00000003-0000-0000-c000-000000000000"
SHARED = Path(__file__).resolve().parents[3] / "shared"

PRINCIPALS = """
    service_principal_id | app_id | display_name | created_at TIMESTAMP
    graph | 00000003-0000-0000-c000-000000000000 | Microsoft Graph | 2020-01-01
    other | api | Orders API | 2020-01-01
    old | a-old | Old app | 2025-01-01
    young | a-young | Young app | 2026-11-01
    undated | a-undated | Undated app | -
"""
DEFINITIONS = """
    resource_id | permission_id | permission_type | permission
    graph | r-mail | application | Mail.Read
    graph | s-mail | delegated | Mail.Read
    graph | s-user | delegated | User.Read
"""


def grants(bench: Bench, delegated: str = "", roles: str = "") -> None:
    """The two staging tables of grants, with their headers."""
    bench.table("stg_service_principals", PRINCIPALS)
    bench.table("permission_definitions", DEFINITIONS)
    bench.table(
        "stg_delegated_grants",
        "grant_id | service_principal_id | resource_id | consent_type | principal_id | scopes VARCHAR[]\n" + delegated,
    )
    bench.table(
        "stg_app_role_assignments",
        "assignment_id | service_principal_id | principal_type | resource_id | app_role_id | permission "
        "| created_at TIMESTAMP\n" + roles,
    )


def test_consent_grants_fold_single_consents(bench: Bench) -> None:
    # Mail.Read: two users, one of them twice through two grants = 2 users, user consent.
    # User.Read: one user, then everybody = admin consent, 1 user had consented alone.
    grants(
        bench,
        """
        g1 | old | graph | Principal | u1 | [Mail.Read, User.Read]
        g2 | old | graph | Principal | u2 | [Mail.Read]
        g3 | old | graph | Principal | u1 | [Mail.Read]
        g4 | old | graph | AllPrincipals | - | [User.Read]
        """,
        """
        a1 | old | ServicePrincipal | graph | r-mail | Mail.Read | 2026-03-01
        a2 | u1 | User | graph | r-mail | Mail.Read | 2026-03-01
        a3 | old | ServicePrincipal | graph | - | - | 2026-03-01
        a4 | old | ServicePrincipal | gone | r-gone | - | 2026-03-01
        """,
    )
    rows = bench.run("consent_grants")
    found = [
        (r["resource_id"], r["permission"], r["permission_type"], r["consent_type"], r["consented_users"]) for r in rows
    ]
    assert found == [
        ("gone", "r-gone", "application", "admin", 0),  # the id stands in for a name nobody can tell
        ("graph", "Mail.Read", "application", "admin", 0),  # a user's role and access without a role are no permission
        ("graph", "Mail.Read", "delegated", "user", 2),
        ("graph", "User.Read", "delegated", "admin", 1),
    ]
    assert [r["permission_id"] for r in rows] == ["r-gone", "r-mail", "s-mail", "s-user"]


LEVELS = [
    ("application", "Mail.Read", "high"),
    ("application", "Mail.ReadWrite", "high"),
    ("application", "Mail.Send", "high"),
    ("application", "Files.Read.All", "high"),
    ("application", "Files.ReadWrite.All", "high"),
    ("application", "Sites.Read.All", "high"),
    ("application", "Sites.FullControl.All", "high"),
    ("application", "Directory.ReadWrite.All", "high"),
    ("application", "RoleManagement.ReadWrite.Directory", "high"),
    ("application", "AppRoleAssignment.ReadWrite.All", "high"),
    ("application", "Application.ReadWrite.All", "high"),
    ("application", "User.ReadWrite.All", "high"),
    ("application", "Sites.Selected", "medium"),
    ("application", "Reports.Read.All", "low"),
    ("delegated", "Mail.Read", "high"),
    ("delegated", "Files.ReadWrite.All", "high"),
    ("delegated", "User.Read", "low"),
    ("delegated", "openid", "low"),
    ("delegated", "offline_access", "low"),
    # by rule, because the reviewed table does not name them
    ("application", "Policy.ReadWrite.Invented", "high"),  # control, write
    ("application", "CallTranscripts.Read.All", "high"),  # content
    ("application", "Invented.ReadWrite.All", "medium"),  # write
    ("application", "Policy.Read.Invented", "medium"),  # control, read
    ("application", "RoleManagement.Read.Invented", "medium"),  # the noun holds "Manage", the verb only reads
    ("application", "Chat.ReadBasic.WhereInstalled", "low"),  # limited, and no content
    ("application", "Invented.Read.All", "low"),
    ("application", "TeamsTab.ReadWriteForChat.All", "medium"),  # limited, write
    ("delegated", "Invented.ReadWrite", "medium"),
    ("delegated", "Invented.Read.All", "low"),
]


def test_levels_judge_like_a_defender(bench: Bench) -> None:
    bench.table("consent_grants", "resource_app_id | permission | permission_type")
    for kind, name, _ in LEVELS:
        bench.con.execute("INSERT INTO consent_grants VALUES (?, ?, ?)", [GRAPH, name, kind])
    bench.con.execute(
        "INSERT INTO consent_grants VALUES "
        "('00000002-0000-0ff1-ce00-000000000000', 'full_access_as_app', 'application'),"
        "('my-own-api', 'Mail.Read', 'application'), ('my-own-api', 'Mail.Read', 'delegated'),"
        "(NULL, 'r-gone', 'application')"
    )
    found = {
        (r["resource_app_id"], r["permission_type"], r["permission"]): r for r in bench.run("permission_judgements")
    }
    assert {key[1:]: r["privilege_level"] for key, r in found.items() if key[0] == GRAPH} == {
        (kind, name): level for kind, name, level in LEVELS
    }
    assert (
        found["00000002-0000-0ff1-ce00-000000000000", "application", "full_access_as_app"]["privilege_level"] == "high"
    )
    # the same name on somebody's own API says nothing about mail
    assert found["my-own-api", "application", "Mail.Read"]["privilege_level"] == "medium"
    assert found["my-own-api", "delegated", "Mail.Read"]["privilege_level"] == "low"
    assert found[None, "application", "r-gone"]["privilege_level"] == "medium"
    assert all(r["level_reason"] for r in found.values())


def test_no_level_holds_more_than_half_of_the_graph_permissions(bench: Bench) -> None:
    path = SHARED / "graph" / "graph-permissions.csv"
    if not path.exists():
        pytest.skip("the public list of Graph permissions is not beside the checkout")
    bench.table("consent_grants", "resource_app_id | permission | permission_type")
    with path.open(encoding="utf-8", newline="") as handle:
        names = {(row["value"], row["type"].lower()) for row in csv.DictReader(handle)}
    bench.con.executemany(
        f"INSERT INTO consent_grants VALUES ('{GRAPH}', ?, ?)",
        [pair for pair in sorted(names) if pair[1] in ("delegated", "application")],
    )
    rows = bench.run("permission_judgements")
    counts = Counter(row["privilege_level"] for row in rows)
    assert len(rows) > 1000
    assert max(counts.values()) <= len(rows) / 2, counts
    assert min(counts.values()) >= len(rows) / 20, counts


def usage(
    bench: Bench, calls: str, *, covered: int = 30, delegated: str = "", roles: str = ""
) -> list[dict[str, object]]:
    """app_permissions for the given calls; the last `covered` days up to 15 November are completely covered."""
    grants(bench, delegated, roles)
    bench.requests(
        "request_id | app_id | called_at TIMESTAMP | resource_type | service | access | status INTEGER "
        "| is_app_only BOOLEAN | is_batch_envelope BOOLEAN\n" + calls,
    )
    bench.table("covered_days", "source | day DATE | is_complete BOOLEAN")
    bench.con.execute(
        "INSERT INTO covered_days SELECT 'api_activity', DATE '2026-11-15' - CAST(i AS INTEGER), true "
        "FROM range(?) AS t(i)",
        [covered],
    )
    bench.table("stg_applications", "app_id | required_resource_access JSON")
    for model in ("consent_grants", "permission_judgements", "app_resource_usage", "permission_usage"):
        bench.run(model)
    return bench.run("app_permissions")


ROLE = "a1 | old | ServicePrincipal | graph | r-mail | Mail.Read | 2026-03-01"


@pytest.mark.parametrize(
    ("calls", "expected", "count"),
    [
        ("1 | a-old | 2026-11-15 23:59:59 | messages | Exchange | read | 200 | true | false", "used", 1),
        ("1 | a-old | 2026-11-10 | messages | Exchange | read | 206 | true | false", "used", 1),  # 206 is a success
        ("1 | a-old | 2026-11-10 | messages | Exchange | read | - | true | false", "unknown", 0),
        ("1 | a-old | 2026-11-10 | messages | Exchange | read | 403 | true | false", "unknown", 0),  # tried in vain
        (
            "1 | a-old | 2026-11-10 | messages | Exchange | write | 202 | true | false",
            "unknown",
            0,
        ),  # a write is no read
        ("1 | a-old | 2026-11-10 | messages | Exchange | read | 200 | false | false", "unknown", 0),  # with a user
        ("1 | a-old | 2026-11-10 | messages | Exchange | read | 200 | - | false", "used", 1),  # log does not tell
        ("1 | a-old | 2026-11-10 | directory | Directory | read | 200 | true | false", "unused", 0),
        ("1 | a-old | 2026-11-10 | other | Other | read | 200 | true | false", "unknown", 0),  # not recognised
        ("1 | a-old | 2026-11-10 | other | Other | write | 200 | true | true", "unused", 0),  # an envelope is no call
        ("1 | a-old | 2026-10-16 23:59:59 | messages | Exchange | read | 200 | true | false", "unused", 0),  # day 31
        (
            "1 | a-old | 2026-11-16 | messages | Exchange | read | 200 | true | false",
            "unused",
            0,
        ),  # after the as-of date
        ("", "unused", 0),
    ],
)
def test_usage_of_a_read_permission(bench: Bench, calls: str, expected: str, count: int) -> None:
    (row,) = usage(bench, calls, roles=ROLE)
    assert (row["usage"], row["calls"]) == (expected, count), row["usage_reason"]
    assert row["usage_reason"]
    assert (row["last_used_at"] is not None) == (expected == "used")


def test_unused_needs_thirty_covered_days(bench: Bench) -> None:
    (row,) = usage(bench, "", covered=29, roles=ROLE)
    assert (row["usage"], row["calls"]) == ("unknown", None)
    assert "not fully covered" in str(row["usage_reason"])


def test_unused_needs_an_age(bench: Bench) -> None:
    rows = usage(
        bench,
        "",
        roles="""
        a1 | young | ServicePrincipal | graph | r-mail | Mail.Read | 2026-11-01
        a2 | undated | ServicePrincipal | graph | r-mail | Mail.Read | 2026-11-01
        """,
    )
    assert {(r["app_id"], r["usage"], r["usage_reason"]) for r in rows} == {
        ("a-young", "unknown", "the app is younger than 30 days"),
        ("a-undated", "unknown", "the age of the app is not known"),
    }


def test_write_permissions_are_proved_by_reads_but_sending_is_not(bench: Bench) -> None:
    calls = "1 | a-old | 2026-11-10 | messages | Exchange | read | 200 | false | false"
    rows = usage(bench, calls, delegated="g1 | old | graph | AllPrincipals | - | [Mail.ReadWrite, Mail.Send, openid]")
    assert {r["permission"]: r["usage"] for r in rows} == {
        "Mail.ReadWrite": "used",
        "Mail.Send": "unknown",
        "openid": "unknown",
    }


def test_other_resources_are_unknown_whatever_graph_says(bench: Bench) -> None:
    calls = "1 | a-old | 2026-11-10 | messages | Exchange | read | 200 | true | false"
    (row,) = usage(bench, calls, roles="a1 | old | ServicePrincipal | other | r9 | Mail.Read | 2026-01-01")
    assert row["usage"] == "unknown"
    assert row["usage_reason"] == "calls to this resource are not in the Graph activity log"


def test_manifest(bench: Bench) -> None:
    usage(bench, "", roles=ROLE, delegated="g1 | old | graph | AllPrincipals | - | [Mail.Read, Unlisted.Name]")
    bench.con.execute(
        """INSERT INTO stg_applications VALUES ('a-old', '[{"resourceAppId": "x", "resourceAccess":
        [{"id": "R-MAIL", "type": "Role"}, null]}, null]')"""
    )
    found = {(r["permission"], r["permission_type"]): r["in_manifest"] for r in bench.run("app_permissions")}
    assert found == {
        ("Mail.Read", "application"): True,
        ("Mail.Read", "delegated"): False,
        ("Unlisted.Name", "delegated"): None,  # no id to compare
    }


def test_app_resource_usage_counts(bench: Bench) -> None:
    # 3 calls of the same kind: 2 good reads (200, 204), 1 refused write; the batch envelope is left out.
    usage(
        bench,
        """
        1 | a-old | 2026-11-10 01:00:00 | files | OneDrive | read | 200 | true | false
        2 | a-old | 2026-11-11 01:00:00 | files | OneDrive | read | 204 | true | false
        3 | a-old | 2026-11-12 01:00:00 | files | OneDrive | write | 403 | true | false
        4 | a-old | 2026-11-12 01:00:00 | other | Other | write | 200 | true | true
        """,
    )
    (row,) = bench.rows("SELECT calls, good_reads, good_writes, last_good_write_at FROM app_resource_usage")
    assert row == {"calls": 3, "good_reads": 2, "good_writes": 0, "last_good_write_at": None}
