"""Policies about what people do to the tenant with programs: listing it, changing sign-in methods, one factor only."""

from __future__ import annotations

import duckdb
import pytest
from people_tables import GRAPH, POWERSHELL, people_warehouse, signed_in, skipped
from policy_tables import APP, found, one
from state_tables import put


@pytest.fixture
def con() -> duckdb.DuckDBPyConnection:
    """A warehouse with one app of the tenant and one command-line program of Microsoft's."""
    return people_warehouse()


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
