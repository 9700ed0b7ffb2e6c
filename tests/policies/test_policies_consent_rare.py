"""Policies about consents that are rare, or that are known from attack kits."""

from __future__ import annotations

import duckdb
import pytest
from policy_tables import SP, cover, found, one
from state_tables import put, state_warehouse

from appgov_lib.errors import UserError


@pytest.fixture
def con() -> duckdb.DuckDBPyConnection:
    """A warehouse with one outside app that nobody vouches for."""
    con = state_warehouse()
    put(con, "app_inventory", app_origin="external", publisher_verified=False, added_on="2026-11-01")
    return con


def skipped(con: duckdb.DuckDBPyConnection, policy: str, source: str) -> None:
    """The policy is not judged without a source."""
    cover(con, source, "not_permitted")
    with pytest.raises(UserError, match=f"Source {source} is not permitted"):
        found(con, policy)


# ---- attack-kit-scopes -----------------------------------------------------------------------------------------------

KIT = "attack-kit-scopes"
PWNAUTH = ["Files.Read.All", "Mail.ReadWrite", "Mail.Send", "User.Read", "offline_access"]


def given(con: duckdb.DuckDBPyConnection, person: str | None, scopes: list[str]) -> None:
    """One delegated grant, for everybody where no person is named."""
    kind = "Principal" if person else "AllPrincipals"
    put(con, "stg_delegated_grants", grant_id=f"g-{person}", service_principal_id=SP, consent_type=kind,
        principal_id=person, scopes=scopes)  # fmt: skip


def test_the_set_of_permissions_of_a_kit(con):
    given(con, "u1", PWNAUTH)
    given(con, "u2", [scope.lower() for scope in PWNAUTH])
    given(con, "u3", ["User.Read", "Mail.Read", "offline_access"])
    row = one(con, KIT)
    assert row["measure"] == 2
    assert row["reason"] == (
        "2 users gave this app the set of permissions known as PwnAuth (Files.Read.All, Mail.ReadWrite, Mail.Send, "
        "User.Read, offline_access) and offline access; its publisher is not verified."
    )


@pytest.mark.parametrize(
    ("scopes", "kits"),
    [
        (["Mail.Read", "Mail.Send", "MailboxSettings.ReadWrite", "offline_access"], ["mailbox takeover"]),
        (["Contacts.Read", "User.Read", "Mail.Read", "Notes.Read.All", "Files.Read", "offline_access"],
         ["O365 Attack Toolkit"]),
    ],
)  # fmt: skip
def test_other_kits(con, scopes: list[str], kits: list[str]):
    given(con, "u1", scopes)
    assert one(con, KIT)["evidence"]["kits"] == kits


@pytest.mark.parametrize(
    ("person", "scopes", "change"),
    [
        ("u1", PWNAUTH[:-1], ""),
        ("u1", PWNAUTH[1:], ""),
        (None, PWNAUTH, ""),
        ("u1", PWNAUTH, "UPDATE app_inventory SET publisher_verified = true"),
        ("u1", PWNAUTH, "UPDATE app_inventory SET app_origin = 'internal'"),
        ("u1", PWNAUTH, "UPDATE app_inventory SET is_in_scope = false"),
    ],
    ids=["not offline", "one is missing", "an administrator", "verified", "our own", "Microsoft's own"],
)
def test_permissions_that_are_no_kit(con, person: str | None, scopes: list[str], change: str):
    given(con, person, scopes)
    if change:
        assert len(found(con, KIT)) == 1
        con.execute(change)
    assert found(con, KIT).empty


def test_kits_are_not_judged_without_grants(con):
    skipped(con, KIT, "delegated_grants")


# ---- rare-consent ----------------------------------------------------------------------------------------------------

RARE = "rare-consent"


def first(con: duckdb.DuckDBPyConnection, *people: str, at: str = "10 09:00") -> None:
    """People who consent to mail for themselves."""
    for person in people:
        put(
            con,
            "grant_history",
            grant_id=f"g-{person}",
            service_principal_id=SP,
            permission="Mail.Read",
            permission_type="delegated",
            consent_type="user",
            principal_id=person,
            valid_from=f"2026-11-{at}",
        )
    put(con, "app_permissions", service_principal_id=SP, permission="Mail.Read", permission_type="delegated",
        consent_type="user", privilege_level="high")  # fmt: skip


def test_the_first_consent_of_all(con):
    con.execute("UPDATE coverage SET from_at = '2026-08-17' WHERE source = 'directory_audits'")
    first(con, "u1", "u2")
    row = one(con, RARE)
    assert row["measure"] == 2
    assert row["reason"] == (
        "2 people consented to this app for themselves, the first on 2026-11-10; in the 30 days to the end of the "
        "period nobody had before: Mail.Read."
    )


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE grant_history SET valid_from = NULL WHERE principal_id = 'u1'",
        "UPDATE grant_history SET valid_from = '2026-10-01' WHERE principal_id = 'u1'",
        "UPDATE app_permissions SET privilege_level = 'medium'",
        "INSERT INTO grant_history SELECT * EXCLUDE (r) REPLACE ('p' || r AS principal_id) FROM grant_history, "
        "range(3) AS t(r)",
        "UPDATE app_permissions SET consent_type = 'admin'",
        "UPDATE app_inventory SET app_origin = 'internal'",
        "UPDATE app_inventory SET is_in_scope = false",
    ],
    ids=[
        "there before history",
        "another long ago",
        "medium",
        "many people",
        "for everybody",
        "our own",
        "Microsoft's own",
    ],
)
def test_consents_that_are_not_rare(con, change: str):
    first(con, "u1", "u2")
    assert len(found(con, RARE)) == 1
    con.execute(change)
    assert found(con, RARE).empty


def test_first_of_all_is_said_only_with_a_history(con):
    first(con, "u1")
    con.execute("UPDATE coverage SET from_at = '2026-11-01'")
    with pytest.raises(UserError, match="must go back to 2026-10-17"):
        found(con, RARE)
