"""Policies about people behind apps: where they come from, with how many programs, and their sessions."""

from __future__ import annotations

import datetime as dt

import duckdb
import pytest
from people_tables import GRAPH, people_warehouse, signed_in, skipped
from policy_tables import APP, found, one
from state_tables import put


@pytest.fixture
def con() -> duckdb.DuckDBPyConnection:
    """A warehouse with one app of the tenant and one command-line program of Microsoft's."""
    return people_warehouse()


# ---- session-from-several-addresses ----------------------------------------------------------------------------------

SESSION = "session-from-several-addresses"


def session(
    con: duckdb.DuckDBPyConnection,
    *,
    minutes: int = 20,
    here: str = "198.51.100.7",
    there: str = "203.0.113.9",
    country: str | None = "MD",
    values_before: int = 1,
    **more: object,
) -> None:
    """A sign-in, and calls with its token from elsewhere that many minutes later; somebody signs in from there."""
    at = dt.datetime(2026, 11, 12, 9) + dt.timedelta(minutes=minutes)
    put(con, "stg_sign_ins", created_at="2026-11-12 09:00", app_id=APP, sign_in_type="interactive", error_code=0,
        token_id="t1", ip_address=here, country="DE")  # fmt: skip
    put(con, "stg_api_activity", called_at=at, user_id="u1", token_id="t1", ip_address=there)
    if country:
        put(con, "stg_sign_ins", created_at="2026-10-01", user_id="u2", app_id=GRAPH, ip_address=there, country=country)
    row = {"dimension": "address_block", "value": "203.0.113.0/24", "first_seen_at": at, "look_back_days": 84}
    put(con, "app_first_seen", **{**row, "values_before": values_before, **more})


@pytest.mark.parametrize("country", ["MD", None], ids=["another country", "nobody signs in from there"])
def test_a_token_used_in_two_places(con, country: str | None):
    session(con, country=country)
    row = one(con, SESSION)
    assert (row["measure"], row["subject"]) == (1, "")
    assert row["reason"] == (
        "1 session of 1 person with this app went on within 60 minutes from an address block never seen of the app: on "
        f"2026-11-12 09:20 UTC from 198.51.100.7 (DE) to 203.0.113.9 ({country or 'country unknown'}), 1 calls."
    )


@pytest.mark.parametrize(
    "more",
    [
        {"country": "DE"},
        {"minutes": 61},
        {"here": "203.0.113.1"},
        {"country": None, "values_before": 9},
        {"country": None, "here": "2001:db8:1::5"},
        {"value": "192.0.2.0/24"},
        {"first_seen_at": "2026-10-01"},
        {"look_back_days": 5},
        {"family": "sign_ins"},
    ],
    ids=["the same country", "too late", "the same block", "an app that roams", "two kinds of address", "known block",
         "an old block", "a young log", "no call"],
)  # fmt: skip
def test_other_sessions_are_silent(con, more: dict[str, object]):
    session(con, **more)
    assert found(con, SESSION).empty


def test_a_block_in_two_countries_is_nowhere(con):
    session(con)
    put(con, "stg_sign_ins", created_at="2026-10-01", app_id=GRAPH, ip_address="203.0.113.77", country="DE")
    assert found(con, SESSION).empty


def test_sessions_of_microsofts_apps_are_silent(con):
    session(con)
    con.execute("UPDATE app_inventory SET is_in_scope = false")
    assert found(con, SESSION).empty


def test_sessions_are_not_judged_without_sign_ins(con):
    skipped(con, SESSION, "sign_ins_non_interactive", "sign_ins_interactive")


# ---- more-places-than-people -----------------------------------------------------------------------------------------

PLACES = "more-places-than-people"


def travel(con: duckdb.DuckDBPyConnection, *, cities: int = 6, people: int = 2, weeks: int = 5) -> None:
    """Weeks at one place, then a week in so many cities."""
    for week in range(1, weeks + 1):
        for person in range(people):
            at = dt.date(2026, 11, 12) - dt.timedelta(days=7 * week)
            signed_in(con, f"{at:%m-%d} 09:00", f"u{person}")
    for number in range(cities):
        signed_in(con, f"11-12 {9 + number:02d}:00", f"u{number % people}", city=f"City {number}")


def test_few_people_in_many_places(con):
    travel(con)
    row = one(con, PLACES)
    assert (row["measure"], row["threshold"]) == (3, 1.25)
    assert row["reason"] == (
        "2 people (u0@x.example, u1@x.example) signed in to the app from 6 places, which is 3.0 for each; in none of "
        "the 5 periods before were there more than 0.5 for each, and 1 in all."
    )


@pytest.mark.parametrize(
    "more",
    [{"cities": 4}, {"people": 6}, {"weeks": 3}],
    ids=["few places", "as many people", "hardly a past"],
)
def test_ordinary_places_are_silent(con, more: dict[str, int]):
    travel(con, **more)
    assert found(con, PLACES).empty


def test_people_who_always_travel_are_silent(con):
    travel(con)
    for number in range(6):
        signed_in(con, "10-20 09:00", f"u{number % 2}", city=f"Town {number}")
    assert found(con, PLACES).empty


def test_places_are_not_judged_without_sign_ins(con):
    skipped(con, PLACES, "sign_ins_non_interactive", "sign_ins_interactive")


# ---- first-use-from-new-network --------------------------------------------------------------------------------------

FIRST = "first-use-from-new-network"


def arrive(con: duckdb.DuckDBPyConnection, *, asn: str | None = "64999", country: str = "MD", **more: object) -> None:
    """A person known for weeks, and a first sign-in to a powerful app from afar."""
    put(con, "app_permissions", permission="Mail.ReadWrite", privilege_level="high")
    signed_in(con, "10-01 09:00", app_id=GRAPH, asn="64500")
    signed_in(con, "11-12 03:00", **{"asn": asn, "country": country, **more})


@pytest.mark.parametrize(("asn", "network"), [("64999", "AS64999"), (None, "MD")], ids=["network", "country only"])
def test_a_first_use_from_where_nobody_comes(con, asn: str | None, network: str):
    arrive(con, asn=asn)
    row = one(con, FIRST)
    assert row["measure"] == 1
    assert row["reason"] == (
        f"1 person used the app for the first time from a network that nobody here had used: u1@x.example from "
        f"{network} (MD) on 2026-11-12 03:00 UTC. For whoever signs in the app may use Mail.ReadWrite."
    )


@pytest.mark.parametrize(
    ("why", "more"),
    [
        ("used before", {}),
        ("somebody else's network", {}),
        ("no power", {}),
        ("new person", {}),
        ("Microsoft's own", {}),
        ("refused", {"error_code": 50126}),
        ("known country", {"asn": None, "country": "DE"}),
    ],
)
def test_other_first_uses_are_silent(con, why: str, more: dict[str, object]):
    arrive(con, **more)
    if why == "used before":
        signed_in(con, "10-20 09:00", asn="64500")
    if why == "somebody else's network":
        signed_in(con, "10-20 09:00", "u2", app_id=GRAPH, asn="64999")
    if why == "no power":
        con.execute("UPDATE app_permissions SET privilege_level = 'low'")
    if why == "new person":
        con.execute("UPDATE stg_sign_ins SET created_at = '2026-11-05' WHERE app_id <> $app", {"app": APP})
    if why == "Microsoft's own":
        con.execute("UPDATE app_inventory SET is_in_scope = false")
    assert found(con, FIRST).empty


def test_first_uses_are_not_judged_without_sign_ins(con):
    skipped(con, FIRST, "sign_ins_non_interactive", "sign_ins_interactive")


# ---- many-apps-one-user ----------------------------------------------------------------------------------------------

MANY = "many-apps-one-user"


def try_apps(con: duckdb.DuckDBPyConnection, *, apps: int = 3, agents: int = 6, step: int = 30, **more: object) -> None:
    """Attempts at some apps, the tenant's own among them, each with another program."""
    for number in range(6):
        at = dt.datetime(2026, 11, 12, 9) + dt.timedelta(seconds=step * number)
        signed_in(con, f"{at:%m-%d %H:%M:%S}", app_id=APP if number % apps == 0 else f"app{number % apps}",
                  user_agent=f"agent {number % agents}", error_code=number % 2 * 50126, **more)  # fmt: skip


def test_one_person_with_many_programs(con):
    try_apps(con)
    row = one(con, MANY)
    assert (row["app_id"], row["measure"], row["threshold"]) == (APP, 6, 6)
    assert row["reason"] == (
        "u1@x.example signed in to 3 apps, this one among them, with 6 programs from one address within 5 minutes from "
        "2026-11-12 09:00 UTC; 3 of 6 sign-ins failed."
    )


@pytest.mark.parametrize(
    "more",
    [{"apps": 2}, {"agents": 5}, {"step": 90}, {"sign_in_type": "non_interactive"}],
    ids=["two apps", "five programs", "slowly", "in the background"],
)
def test_other_tries_are_silent(con, more: dict[str, object]):
    try_apps(con, **more)
    assert found(con, MANY).empty


def test_tries_are_not_judged_without_sign_ins(con):
    skipped(con, MANY, "sign_ins_interactive")
