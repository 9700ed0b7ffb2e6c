"""Policies about people behind apps: who lists the tenant, who changes how others sign in, who comes from where."""

from __future__ import annotations

import datetime as dt

import duckdb
import pytest
from policy_tables import APP, SP, cover, found, one
from state_tables import put, state_warehouse

from appgov_lib.errors import UserError
from appgov_lib.store.models import REFERENCE_DIR

POWERSHELL = "14d82eec-204b-4c2f-b7e8-296a70dab67e"
GRAPH = "00000003-0000-0000-c000-000000000000"
COLUMNS = {
    "stg_api_activity": ("token_id", "ip_address", "is_app_only BOOLEAN", "access"),
    "stg_sign_ins": ("token_id", "city", "authentication_requirement"),
    "stg_directory_audits": ("actor_type",),
}


@pytest.fixture
def con() -> duckdb.DuckDBPyConnection:
    """A warehouse with one app of the tenant and one command-line program of Microsoft's."""
    con = state_warehouse()
    for table, columns in COLUMNS.items():
        for column in columns:
            kind = "" if " " in column else " VARCHAR"
            con.execute(f"ALTER TABLE {table} ADD COLUMN IF NOT EXISTS {column}{kind}")
    con.execute(
        "CREATE TABLE IF NOT EXISTS ref_command_line_apps AS FROM read_csv($path, header = true, all_varchar = true)",
        {"path": str(REFERENCE_DIR / "command_line_apps.csv")},
    )
    put(con, "app_inventory")
    put(con, "app_inventory", service_principal_id=SP + "c", app_id=POWERSHELL, display_name="Graph Command Line",
        is_first_party=True, is_in_scope=False)  # fmt: skip
    put(con, "stg_users", user_id="u1", user_principal_name="ada@x.example")
    return con


def skipped(con: duckdb.DuckDBPyConnection, policy: str, *sources: str) -> None:
    """The policy is not judged where none of the sources was read."""
    assert found(con, policy).empty
    for source in sources:
        cover(con, source, "not_licensed")
    with pytest.raises(UserError, match=f"Source {sources[-1]} is"):
        found(con, policy)


# ---- listing-by-command-line -----------------------------------------------------------------------------------------

LISTING = "listing-by-command-line"
KINDS = ("/users", "/groups/{id}/members", "/servicePrincipals", "/directoryRoles/{id}")


def listed(con: duckdb.DuckDBPyConnection, at: str, *, calls: int = 24, kinds: int = 4, **more: object) -> None:
    """That many calls of one minute with the program, over some kinds of objects."""
    for number in range(calls):
        row = {"app_id": POWERSHELL, "user_id": "u1", "resource_type": "directory", "is_app_only": False}
        at_second = f"2026-{at}:{number % 60:02d}"
        put(con, "stg_api_activity", called_at=at_second, endpoint=KINDS[number % kinds], **{**row, **more})


def test_a_person_who_lists_the_tenant(con):
    listed(con, "10-01 08:00", calls=1)
    listed(con, "11-12 03:00")
    listed(con, "11-12 03:04", calls=20)
    row = one(con, LISTING)
    assert (row["app_id"], row["subject"], row["measure"], row["threshold"]) == (POWERSHELL, "u1", 24, 20)
    assert row["evidence"]["bursts"] == 2
    assert row["reason"] == (
        "In the minute of 2026-11-12 03:00 UTC ada@x.example listed 4 kinds of objects in 24 calls with a command-line "
        "program (directoryroles, groups, serviceprincipals, users), and in no minute of the 56 days before; no "
        "privileged role is held."
    )


@pytest.mark.parametrize(
    ("why", "more"),
    [
        ("few calls", {"calls": 19}),
        ("few kinds", {"kinds": 3}),
        ("another app", {"app_id": APP}),
        ("no person", {"user_id": None}),
        ("mail", {"resource_type": "messages"}),
        ("before, with another program", {}),
        ("no past", {}),
        ("administrator", {}),
    ],
)
def test_other_lists_are_silent(con, why: str, more: dict[str, object]):
    if why != "no past":
        listed(con, "10-01 08:00", calls=1)
    if why == "before, with another program":
        listed(con, "10-05 08:00", app_id="04b07795-8ddb-461a-bbee-02f9e1bf7b46")
    if why == "administrator":
        put(con, "stg_directory_role_assignments", principal_id="u1", role_name="Global Administrator",
            is_privileged=True)  # fmt: skip
    listed(con, "11-12 03:00", **more)
    assert found(con, LISTING).empty


def test_an_administrator_who_lists_very_much(con):
    put(con, "stg_directory_role_assignments", principal_id="u1", role_name="Global Administrator", is_privileged=True)
    listed(con, "10-01 08:00", calls=1)
    listed(con, "11-12 03:00", calls=200)
    row = one(con, LISTING)
    assert row["threshold"] == 200
    assert row["reason"].endswith("the role held is Global Administrator.")


def test_lists_are_not_judged_without_calls_or_roles(con):
    skipped(con, LISTING, "directory_role_assignments")


# ---- sign-in-methods-changed -----------------------------------------------------------------------------------------

METHODS = "sign-in-methods-changed"
POLICY = "/policies/authenticationMethodsPolicy/authenticationMethodConfigurations/{id}"


def changed(con: duckdb.DuckDBPyConnection, at: str, **more: object) -> None:
    """A change of the policy of sign-in methods, by the app as itself."""
    row = {"method": "PATCH", "endpoint": POLICY, "status": 204, "is_app_only": True, "ip_address": "198.51.100.7"}
    put(con, "stg_api_activity", called_at=f"2026-{at}", **{**row, **more})


def test_an_app_that_changes_how_people_sign_in(con):
    changed(con, "11-12 03:00")
    put(con, "stg_directory_audits", activity_at="2026-11-12 03:00:01", activity="Authentication Methods Policy Update",
        result="success", actor_type="service_principal", actor_app_id=APP)  # fmt: skip
    row = one(con, METHODS)
    assert (row["app_id"], row["subject"], row["measure"]) == (APP, "", 2)
    assert row["reason"] == (
        "The app itself changed how people prove who they are, 2 times from 2026-11-12 03:00 UTC on (Authentication "
        f"Methods Policy Update, PATCH {POLICY}), and not once in the 56 days before, as far as the log goes back."
    )


def test_a_person_who_does_so_with_a_program_of_microsofts(con):
    changed(con, "11-12 03:00", app_id=POWERSHELL, user_id="u1", is_app_only=False)
    row = one(con, METHODS)
    assert (row["app_id"], row["subject"]) == (POWERSHELL, "u1")
    assert row["reason"].startswith("ada@x.example changed how people prove who they are, 1 time from")
    # the same person, with another program, some weeks before
    changed(con, "10-12 03:00", user_id="u1", is_app_only=False)
    assert found(con, METHODS).empty


@pytest.mark.parametrize(
    "more",
    [
        {"method": "GET"},
        {"status": 403},
        {"endpoint": "/policies/authorizationPolicy"},
        {"app_id": POWERSHELL},
    ],
    ids=["read", "refused", "another policy", "a service of Microsoft's"],
)
def test_what_changes_no_sign_in_method_is_silent(con, more: dict[str, object]):
    changed(con, "11-12 03:00", **more)
    assert found(con, METHODS).empty


def test_an_app_that_manages_them_for_a_living_is_silent(con):
    changed(con, "10-01 03:00")
    changed(con, "11-12 03:00")
    assert found(con, METHODS).empty


def test_sign_in_methods_are_not_judged_without_any_log(con):
    skipped(con, METHODS, "directory_audits", "api_activity")


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


def signed_in(con: duckdb.DuckDBPyConnection, at: str, user: str = "u1", **more: object) -> None:
    """A person's sign-in to the app."""
    row = {"app_id": APP, "sign_in_type": "interactive", "error_code": 0, "country": "DE", "city": "Bonn"}
    who = {"user_id": user, "user_principal_name": f"{user}@x.example", "ip_address": "198.51.100.7"}
    put(con, "stg_sign_ins", created_at=f"2026-{at}", **{**row, **who, **more})


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


# ---- single-factor-through-graph-client ------------------------------------------------------------------------------

FACTOR = "single-factor-through-graph-client"


def password_only(con: duckdb.DuckDBPyConnection, *, strong: int = 5, **more: object) -> None:
    """A person used to a second factor, and a sign-in to Graph without one."""
    for number in range(strong):
        signed_in(con, f"10-{10 + number} 09:00", asn="64500", authentication_requirement="multiFactorAuthentication")
    row = {"app_id": POWERSHELL, "resource_id": GRAPH, "asn": "64999", "country": "MD"}
    signed_in(con, "11-12 03:00", **{**row, "authentication_requirement": "singleFactorAuthentication", **more})


def test_one_factor_for_a_command_line_program(con):
    password_only(con)
    row = one(con, FACTOR)
    assert (row["app_id"], row["subject"], row["measure"]) == (POWERSHELL, "u1", 1)
    assert row["reason"] == (
        "u1@x.example got a token for Microsoft Graph with this program and one factor, 1 time from 2026-11-12 "
        "03:00 UTC on, from AS64999 (MD); in the 56 days before, a second factor was asked for 5 times, the "
        "program was never used and that network never seen of the person."
    )


@pytest.mark.parametrize(
    "more",
    [
        {"strong": 4},
        {"authentication_requirement": "multiFactorAuthentication"},
        {"authentication_requirement": None},
        {"resource_id": "r"},
        {"app_id": APP},
        {"asn": "64500"},
        {"error_code": 50126},
        {"sign_in_type": "non_interactive"},
    ],
    ids=[
        "never asked",
        "two factors",
        "unknown",
        "another API",
        "another app",
        "known network",
        "refused",
        "background",
    ],
)
def test_other_factors_are_silent(con, more: dict[str, object]):
    password_only(con, **more)
    assert found(con, FACTOR).empty


def test_factors_are_not_judged_without_sign_ins(con):
    skipped(con, FACTOR, "sign_ins_interactive")
