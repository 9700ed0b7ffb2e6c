"""The policies about what an app shows for the first time: data after a credential, mailboxes, programs."""

from __future__ import annotations

import datetime as dt

import duckdb
import pytest
from policy_tables import APP, AS_OF, cover, found, one
from state_tables import put, state_warehouse

from appgov_lib.errors import UserError

LONG_AGO = AS_OF - dt.timedelta(days=40)
MAIL = "/users/{id}/messages"


@pytest.fixture
def con() -> duckdb.DuckDBPyConnection:
    """An empty warehouse with one app."""
    con = state_warehouse()
    put(con, "app_inventory")
    return con


@pytest.mark.parametrize(
    ("policy", "source"),
    [
        ("credential-then-new-data", "directory_audits"),
        ("many-mailboxes-one-app", "api_activity"),
        ("new-user-agent", "api_activity"),
    ],
)
def test_without_its_source_a_policy_is_not_judged(con, policy: str, source: str):
    assert found(con, policy).empty
    cover(con, "audit_records", "not_collected")
    cover(con, source, "not_permitted")
    with pytest.raises(UserError, match=f"Source {source} is not permitted"):
        found(con, policy)


# ---- a credential, then data -----------------------------------------------------------------------------------------


def event(con: duckdb.DuckDBPyConnection, at: str, name: str, detail: str = "", **more: object) -> None:
    """One event of the app, in November 2026."""
    put(con, "app_events", happened_at=f"2026-11-{at}", event=name, detail=detail, **more)


def test_a_credential_and_then_mail_and_files(con):
    event(con, "08 09:00", "credential added", "secret k1")
    event(con, "10 09:00", "credential added", "secret k2", actor_name="Ada", actor_id="u1")
    event(con, "11 02:00", "new endpoint family", MAIL)
    event(con, "11 03:00", "new endpoint family", "/drives/{id}/items")
    event(con, "11 03:00", "new endpoint family", "/users")
    row = one(con, "credential-then-new-data")
    assert (row["measure"], row["evidence"]["credential"]) == (2, "secret k2")
    assert row["reason"] == (
        "A credential was added on 2026-11-10 09:00 UTC by Ada, and from 2026-11-11 02:00 UTC the app called for files "
        "and mail that it had never called for (/drives/{id}/items, /users/{id}/messages)."
    )
    con.execute("UPDATE app_inventory SET is_in_scope = false")
    assert found(con, "credential-then-new-data").empty


@pytest.mark.parametrize(
    ("credential", "call", "detail"),
    [
        ("11 03:00", "11 02:00", MAIL),
        ("07 09:00", "11 02:00", MAIL),
        ("07 09:00", "08 02:00", MAIL),
        ("10 09:00", "11 02:00", "/groups/{id}/members"),
    ],
    ids=["data before credential", "too long after", "before the period", "no such data"],
)
def test_another_order_time_or_kind_is_no_sequence(con, credential: str, call: str, detail: str):
    event(con, credential, "credential added", "secret k2")
    event(con, call, "new endpoint family", detail)
    event(con, "11 02:00", "new network", "AS64500")
    assert found(con, "credential-then-new-data").empty


@pytest.mark.parametrize(
    ("family", "kind"),
    [
        ("/users/{id}/mailFolders", "mail"),
        ("/users/{id}/sendMail", "mail"),
        ("/users/{id}/drive", "files"),
        ("/sites", "files"),
        ("/sites/{id}/lists", "files"),
        ("/shares/{id}", "files"),
        ("/teams/{id}/channels", "chats"),
        ("/chats/{id}/messages", "chats"),
        ("/users/{id}/chats", "chats"),
    ],
)
def test_kinds_of_data(con, family: str, kind: str):
    event(con, "10 09:00", "credential added", "secret k2")
    event(con, "11 02:00", "new endpoint family", family)
    assert one(con, "credential-then-new-data")["evidence"]["kinds"] == [kind]


# ---- mailboxes -------------------------------------------------------------------------------------------------------


def read_in(con: duckdb.DuckDBPyConnection, at: str, mailboxes: int, **more: object) -> None:
    """A message read in each of that many mailboxes."""
    for number in range(mailboxes):
        put(
            con, "stg_api_activity", called_at=f"2026-{at}",
            **{"path": f"/users/person{number}@x.example/messages", **more},
        )  # fmt: skip


def known(con: duckdb.DuckDBPyConnection, day: dt.date) -> None:
    """A call that shows the app was there."""
    put(con, "api_calls_daily", day=day, endpoint="/users", calls=1)


def test_many_mailboxes_within_minutes(con):
    known(con, LONG_AGO)
    read_in(con, "11-12 03:01", 12)
    read_in(con, "11-12 03:09", 13)  # the same people and one more
    read_in(con, "10-20 03:01", 4)
    row = one(con, "many-mailboxes-one-app")
    assert (row["measure"], row["threshold"], row["evidence"]["calls"]) == (13, 12, 25)
    assert row["reason"] == (
        "Within 10 minutes from 2026-11-12 03:00 UTC the app read in 13 mailboxes; before, in as much time, it was 4 "
        "at most (known since 2026-10-06)."
    )


def test_mailboxes_of_people_who_are_signed_in_count_as_theirs(con):
    known(con, LONG_AGO)
    for number in range(10):
        put(con, "stg_api_activity", called_at="2026-11-12 03:01", path="/me/messages", user_id=f"u{number}")
    assert one(con, "many-mailboxes-one-app")["measure"] == 10


@pytest.mark.parametrize("why", ["few", "spread", "does so", "no past", "refused", "calendar", "out of scope"])
def test_other_mailboxes_are_silent(con, why: str):
    known(con, dt.date(2026, 10, 26) if why == "no past" else LONG_AGO)
    more: dict[str, object] = {}
    if why == "refused":
        more = {"status": 403}
    if why == "calendar":
        more = {"resource_type": "calendar"}
    if why == "does so":
        read_in(con, "10-20 03:01", 5)
    if why == "out of scope":
        con.execute("UPDATE app_inventory SET is_in_scope = false")
    read_in(con, "11-12 03:01", 9 if why in {"few", "spread"} else 12, **more)
    if why == "spread":
        read_in(con, "11-12 03:11", 9, path="/users/other@x.example/messages")
    assert found(con, "many-mailboxes-one-app").empty


def test_a_new_app_needs_no_past(con):
    con.execute("UPDATE app_inventory SET added_on = '2026-11-01'")
    known(con, dt.date(2026, 11, 12))
    read_in(con, "11-12 03:01", 12)
    assert "; before it had read in none" in one(con, "many-mailboxes-one-app")["reason"]


# ---- programs --------------------------------------------------------------------------------------------------------


def agent(con: duckdb.DuckDBPyConnection, value: str, **more: object) -> None:
    """A program that called Graph for the app for the first time."""
    put(con, "app_first_seen", dimension="user_agent", value=value, first_seen_at="2026-11-12 02:00", **more)


def holds(con: duckdb.DuckDBPyConnection, permission: str = "Mail.ReadWrite", **more: object) -> None:
    """A permission over all mailboxes."""
    put(
        con, "app_permissions", permission=permission,
        **{"permission_type": "application", "privilege_level": "high", **more},
    )  # fmt: skip


def test_a_tool_that_had_never_called(con):
    agent(con, "python-requests")
    row = one(con, "new-user-agent")
    assert (row["subject"], row["measure"], row["evidence"]["tool"]) == ("python-requests", 9, "python-requests")
    assert row["reason"] == (
        "From 2026-11-12 02:00 UTC python-requests, a tool, called Microsoft Graph for the app 9 times; before, "
        "one other program had."
    )


def test_another_program_of_an_app_with_power(con):
    agent(con, "Thief", values_before=3)
    assert found(con, "new-user-agent").empty
    holds(con)
    assert one(con, "new-user-agent")["reason"] == (
        "From 2026-11-12 02:00 UTC the program Thief called Microsoft Graph for the app 9 times; before, 3 others had. "
        "It holds Mail.ReadWrite."
    )


@pytest.mark.parametrize(
    ("value", "more", "permission"),
    [
        ("Thief", {}, {"permission_type": "delegated"}),
        ("Thief", {}, {"permission": "User.ReadWrite.All"}),
        ("curl", {"novelty": "known"}, {}),
        ("curl", {"novelty": "unknown"}, {}),
        ("curl", {"values_before": 0}, {}),
        ("curl", {"values_before": 4}, {}),
        ("curl", {"family": "sign_ins"}, {}),
    ],
    ids=["for users", "no such data", "known", "not judged", "never named one", "roams", "signs in"],
)
def test_other_programs_are_silent(con, value: str, more: dict[str, object], permission: dict[str, object]):
    holds(con, **permission)
    agent(con, value, **more)
    assert found(con, "new-user-agent").empty


def mailbox(con: duckdb.DuckDBPyConnection, at: str, program: str) -> None:
    """A record of mail read through Exchange Web Services."""
    put(con, "stg_office_activity", occurred_at=at, user_agent=f"Client=WebServices;{program}/15.0;")


def test_a_program_new_to_web_services(con):
    mailbox(con, "2026-10-01 08:00", "Archiver")
    mailbox(con, "2026-11-12 08:00", "Archiver")
    mailbox(con, "2026-11-12 09:00", "Other")
    row = one(con, "new-user-agent")
    assert (row["subject"], row["evidence"]["api"]) == ("Other", "Exchange Web Services")
    con.execute("DELETE FROM stg_office_activity WHERE occurred_at < '2026-11-01'")
    assert found(con, "new-user-agent").empty  # of an app that young everything is new


def test_the_app_of_a_program_has_to_be_in_scope(con):
    con.execute("UPDATE app_inventory SET is_in_scope = false WHERE app_id = $app", {"app": APP})
    agent(con, "curl")
    assert found(con, "new-user-agent").empty
