"""Policies about how apps sign in and what they begin to do: places, flows, failures, new deeds."""

from __future__ import annotations

import datetime as dt

import duckdb
import pytest
from policy_tables import APP, AS_OF, SP, cover, found, one
from state_tables import put, state_warehouse

from appgov_lib.errors import UserError

BROKER = "29d9ed98-a469-4536-ade2-f981bc1d605e"


@pytest.fixture
def con() -> duckdb.DuckDBPyConnection:
    """A warehouse with one highly privileged app."""
    con = state_warehouse()
    put(con, "app_inventory", privilege_level="high", high_privilege_count=2)
    con.execute("UPDATE coverage SET from_at = '2026-08-17'")
    return con


def skipped(con: duckdb.DuckDBPyConnection, policy: str, source: str, state: str = "not_licensed") -> None:
    """The policy is not judged where a source is in this state."""
    cover(con, source, state)
    with pytest.raises(UserError, match=f"Source {source} is"):
        found(con, policy)


def sign_in(con: duckdb.DuckDBPyConnection, at: str, **more: object) -> None:
    """A sign-in of the app itself, in 2026."""
    row = {"app_id": APP, "sign_in_type": "service_principal", "error_code": 0, "ip_address": "198.51.100.7"}
    put(con, "stg_sign_ins", **{**row, "created_at": f"2026-{at}", "user_id": None, **more})


# ---- app-from-new-network --------------------------------------------------------------------------------------------

NETWORK = "app-from-new-network"


def place(con: duckdb.DuckDBPyConnection, value: str = "AS64500", **more: object) -> None:
    """A place that is new of the app."""
    row = {"app_id": APP, "family": "sign_ins", "dimension": "network", "value": value, "values_before": 1}
    put(con, "app_first_seen", **{**row, "look_back_days": 84, "novelty": "new", **more})


def test_an_app_that_signs_in_from_somewhere_new(con):
    place(con)
    place(con, "MD", dimension="country")
    sign_in(con, "11-11 02:00", asn=64500, country="MD")
    sign_in(con, "11-11 03:00", asn=64500, country="MD")
    sign_in(con, "11-11 04:00", asn=64501, country="IE")
    row = one(con, NETWORK)
    assert row["measure"] == 2
    assert row["reason"] == (
        "The app signed in from country MD and network AS64500 for the first time, 2 times from 2026-11-11 02:00 UTC "
        "on; in the 84 days before, it was seen from 1 such place at most. It holds 2 permissions of high privilege."
    )


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE app_first_seen SET novelty = 'unknown'",
        "UPDATE app_first_seen SET values_before = 4",
        "UPDATE app_first_seen SET look_back_days = 20",
        "UPDATE app_first_seen SET family = 'api_activity'",
        "UPDATE stg_sign_ins SET sign_in_type = 'interactive'",
        "UPDATE stg_sign_ins SET error_code = 7000215",
        "UPDATE stg_sign_ins SET asn = 64501",
        "UPDATE app_inventory SET high_privilege_count = 0",
        "UPDATE app_inventory SET is_in_scope = false",
    ],
    ids=["young", "moves about", "short log", "calls", "a person", "refused", "known", "no power", "Microsoft's own"],
)
def test_places_that_mean_little(con, change: str):
    place(con)
    sign_in(con, "11-11 02:00", asn=64500)
    assert len(found(con, NETWORK)) == 1
    con.execute(change)
    assert found(con, NETWORK).empty


def test_places_are_not_judged_without_sign_ins(con):
    skipped(con, NETWORK, "sign_ins_service_principal")


# ---- new-app-from-unknown-network ------------------------------------------------------------------------------------

UNKNOWN = "new-app-from-unknown-network"


def fresh(con: duckdb.DuckDBPyConnection) -> None:
    """A new app of our own with a permission and a credential, used from a network of its own."""
    con.execute("UPDATE app_inventory SET added_on = '2026-11-09', app_origin = 'internal'")
    told = {"actor_name": "Eve", "happened_at": "2026-11-10 09:00"}
    put(con, "app_events", event="application_permission added", detail="Mail.Read of Microsoft Graph", **told)
    put(con, "app_events", event="credential added", **{**told, "happened_at": "2026-11-10 09:05"})
    sign_in(con, "11-11 02:00", asn="64666", country="MD")
    sign_in(con, "11-12 02:00", asn="64666", country="MD")
    sign_in(con, "11-12 09:00", app_id="another", asn="64496")


def test_a_new_app_used_from_a_network_of_its_own(con):
    fresh(con)
    row = one(con, UNKNOWN)
    assert row["measure"] == 1
    assert row["reason"] == (
        "The app was made on 2026-11-09, holds 2 permissions of high privilege (Mail.Read of Microsoft Graph by Eve), "
        "got a credential on 2026-11-10 09:05 UTC by Eve and signs in from 2026-11-11 02:00 UTC on from AS64666 in MD, "
        "where no other app and no person of the tenant was seen in 30 days."
    )
    con.execute("DELETE FROM app_events")
    assert "holds 2 permissions of high privilege and signs in" in one(con, UNKNOWN)["reason"]


@pytest.mark.parametrize(
    "change",
    [
        "INSERT INTO stg_sign_ins (app_id, asn, sign_in_type, created_at) "
        "VALUES ('another', '64666', 'service_principal', '2026-10-20')",
        "INSERT INTO stg_sign_ins (app_id, asn, sign_in_type, created_at) "
        f"VALUES ('{APP}', '64666', 'non_interactive', '2026-11-12')",
        f"INSERT INTO stg_sign_ins (app_id, asn, sign_in_type, created_at) SELECT '{APP}', '64666', "
        "'service_principal', '2026-10-20'",
        "UPDATE stg_sign_ins SET error_code = 7000215",
        "UPDATE stg_sign_ins SET asn = NULL",
        "UPDATE app_inventory SET added_on = '2026-09-01'",
        "UPDATE app_inventory SET app_origin = 'external'",
        "UPDATE app_inventory SET high_privilege_count = 0",
        "UPDATE app_inventory SET is_in_scope = false",
    ],
    ids=["another app", "a person", "not new", "refused", "not known", "an old app", "a publisher's", "no power",
         "Microsoft's own"],
)  # fmt: skip
def test_new_apps_in_known_places(con, change: str):
    fresh(con)
    assert len(found(con, UNKNOWN)) == 1
    con.execute(change)
    assert found(con, UNKNOWN).empty


def test_unknown_networks_need_the_whole_log_and_long_enough(con):
    skipped(con, UNKNOWN, "sign_ins_service_principal", "partial")
    cover(con, "sign_ins_service_principal", "complete")
    con.execute("UPDATE coverage SET from_at = '2026-11-01'")
    with pytest.raises(UserError, match="must go back to 2026-10-17"):
        found(con, UNKNOWN)


# ---- first-federated-sign-in -----------------------------------------------------------------------------------------

FEDERATED = "first-federated-sign-in"


def federated(con: duckdb.DuckDBPyConnection) -> None:
    """An app that used a secret until an outside issuer vouched for it."""
    for day in range(20, 26):
        sign_in(con, f"10-{day} 09:00", asn="64496", credential_type="clientSecret")
    sign_in(con, "11-11 02:00", asn="64666", credential_type="federatedIdentityCredential")


def test_a_federated_credential_after_secrets(con):
    federated(con)
    row = one(con, FEDERATED)
    assert row["measure"] == 1
    assert row["reason"] == (
        "The app signed in 1 time with a federated credential, first on 2026-11-11 02:00 UTC from AS64666; in the 23 "
        "days before the period none of its 6 sign-ins did. It holds 2 permissions of high privilege."
    )


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE stg_sign_ins SET credential_type = 'federatedIdentityCredential' WHERE created_at < '2026-10-21'",
        "UPDATE stg_sign_ins SET credential_type = NULL WHERE created_at < '2026-11-01'",
        "DELETE FROM stg_sign_ins WHERE created_at < '2026-10-22'",
        "UPDATE stg_sign_ins SET error_code = 700027",
        "UPDATE app_inventory SET high_privilege_count = 0",
        "UPDATE app_inventory SET is_in_scope = false",
    ],
    ids=["as before", "not named", "hardly known", "refused", "no power", "Microsoft's own"],
)
def test_federated_sign_ins_that_are_ordinary(con, change: str):
    federated(con)
    assert len(found(con, FEDERATED)) == 1
    con.execute(change)
    assert found(con, FEDERATED).empty


def test_federated_sign_ins_need_the_whole_log(con):
    skipped(con, FEDERATED, "sign_ins_service_principal", "partial")


# ---- unusual-device-code ---------------------------------------------------------------------------------------------

CODE = "unusual-device-code"


def person(con: duckdb.DuckDBPyConnection, at: str, user: str = "u1", protocol: str | None = "deviceCode",
           **more: object) -> None:  # fmt: skip
    """A person's sign-in through the app."""
    who = {"user_id": user, "user_principal_name": f"{user}@x.example", "sign_in_type": "interactive"}
    sign_in(con, at, **{**who, "authentication_protocol": protocol, **more})


def test_codes_where_none_were_used(con):
    person(con, "10-01 09:00", protocol="none")
    person(con, "11-10 09:00")
    person(con, "11-10 10:00", "u2")
    row = one(con, CODE)
    assert row["measure"] == 2
    assert row["reason"] == (
        "2 people signed in through this app with a device code from 2026-11-10 09:00 UTC on (u1@x.example, "
        "u2@x.example); until then nobody ever did so through this app."
    )


def test_a_code_through_the_broker_is_never_needed(con):
    put(con, "app_inventory", service_principal_id=SP + "b", app_id=BROKER, display_name="Broker", is_first_party=True,
        is_in_scope=False)  # fmt: skip
    person(con, "11-10 09:00", app_id=BROKER)
    row = one(con, CODE)
    assert (row["app_display_name"], row["evidence"]["is_broker"]) == ("Broker", True)
    assert row["reason"].endswith("the broker needs no code, but what it gets can register a device.")


@pytest.mark.parametrize(
    ("before", "protocol", "change"),
    [
        ("10-01 09:00", "deviceCode", ""),
        ("11-01 09:00", "none", ""),
        ("10-01 09:00", None, ""),
        ("10-01 09:00", "none", "UPDATE stg_sign_ins SET error_code = 50126 WHERE created_at > '2026-11-01'"),
        ("10-01 09:00", "none", "UPDATE app_inventory SET is_in_scope = false"),
    ],
    ids=["as ever", "a young app", "flow not known", "failed", "Microsoft's own"],
)
def test_codes_that_are_no_surprise(con, before: str, protocol: str | None, change: str):
    person(con, before, protocol=protocol)
    person(con, "11-10 09:00")
    if change:
        assert len(found(con, CODE)) == 1
        con.execute(change)
    assert found(con, CODE).empty


@pytest.mark.parametrize("policy", [CODE, "ropc-sign-in"])
def test_flows_are_not_judged_without_sign_ins_of_people(con, policy: str):
    cover(con, "sign_ins_interactive", "not_licensed")
    found(con, policy)  # one of the two is enough
    cover(con, "sign_ins_non_interactive", "not_licensed")
    with pytest.raises(UserError, match="not licensed"):
        found(con, policy)


# ---- ropc-sign-in ----------------------------------------------------------------------------------------------------


def test_an_app_that_holds_passwords(con):
    person(con, "11-10 09:00", protocol="ropc")
    person(con, "11-11 09:00", protocol="ropc")
    row = one(con, "ropc-sign-in")
    assert row["measure"] == 1
    assert row["reason"] == (
        "The app signed in 2 times with the password of 1 account (u1@x.example), the last time on 2026-11-11; no "
        "second factor is asked for that way."
    )
    con.execute("UPDATE app_inventory SET is_in_scope = false")
    assert found(con, "ropc-sign-in").empty


@pytest.mark.parametrize(
    ("at", "more"),
    [("11-10 09:00", {"protocol": "none"}), ("11-10 09:00", {"error_code": 50126}), ("11-01 09:00", {})],
    ids=["another flow", "a wrong password", "before the period"],
)
def test_sign_ins_without_a_password_held(con, at: str, more: dict[str, object]):
    person(con, at, **{"protocol": "ropc", **more})
    assert found(con, "ropc-sign-in").empty


# ---- sign-in-failures-rise -------------------------------------------------------------------------------------------

RISE = "sign-in-failures-rise"


def days(con: duckdb.DuckDBPyConnection, failures: int, before: int = 0, sign_ins: int = 10) -> None:
    """Five weeks of ten sign-ins a day, of which so many fail, now and before."""
    for back in range(35):
        put(con, "sign_ins_daily", app_id=APP, day=AS_OF - dt.timedelta(days=back), sign_ins=sign_ins,
            sign_in_type="service_principal", failures=failures if back < 7 else before)  # fmt: skip


def test_sign_ins_that_begin_to_fail(con):
    days(con, 6, 1)
    row = one(con, RISE)
    assert (row["measure"], row["threshold"]) == (60, 50)
    assert row["reason"] == (
        "42 of the app's 70 sign-ins of the period failed (60 %); in the 28 days before it was 28 of 280."
    )


@pytest.mark.parametrize(
    ("failures", "before", "sign_ins"),
    [(4, 0, 10), (6, 3, 10), (2, 0, 2), (10, 10, 10)],
    ids=["less than half", "not three times", "few", "as ever"],
)
def test_failures_that_are_ordinary(con, failures: int, before: int, sign_ins: int):
    days(con, failures, before, sign_ins)
    assert found(con, RISE).empty


def test_failures_of_people_of_microsoft_and_of_a_young_log(con):
    days(con, 6, 1)
    con.execute("UPDATE sign_ins_daily SET sign_in_type = 'interactive'")
    assert found(con, RISE).empty
    con.execute("UPDATE sign_ins_daily SET sign_in_type = 'service_principal'")
    con.execute("UPDATE app_inventory SET is_in_scope = false")
    assert found(con, RISE).empty
    con.execute("UPDATE coverage SET from_at = '2026-11-01'")
    with pytest.raises(UserError, match="must go back to 2026-10-12"):
        found(con, RISE)
    skipped(con, RISE, "sign_ins_service_principal")


# ---- rare-operation-by-app -------------------------------------------------------------------------------------------

RARE = "rare-operation-by-app"


def act(con: duckdb.DuckDBPyConnection, at: str, deed: str, **more: object) -> None:
    """Something the app does."""
    put(con, "app_events", happened_at=f"2026-{at}", event="acted", detail=deed, **more)


def test_an_app_that_begins_to_give_roles(con):
    act(con, "10-01 09:00", "Update user")
    act(con, "11-10 09:00", "Add member to role")
    act(con, "11-10 09:00", "Update group")
    row = one(con, RARE)
    assert row["measure"] == 1
    assert row["reason"] == (
        "From 2026-11-10 09:00 UTC on the app did what it had not done since 2026-10-01, when it was first seen to "
        "act: Add member to role. Before, it did 1 kind of thing."
    )
    con.execute("UPDATE app_inventory SET is_first_party = true")
    assert found(con, RARE).empty


@pytest.mark.parametrize(
    ("deeds"),
    [
        [("10-01 09:00", "Add member to role"), ("11-10 09:00", "Add member to role")],
        [("11-01 09:00", "Update user"), ("11-10 09:00", "Add member to role")],
        [("10-01 09:00", "Update user"), ("11-10 09:00", "Add user")],
        [("10-01 09:00", "Update user"), ("11-01 09:00", "Add member to role")],
    ],
    ids=["as ever", "a young app", "no power", "before the period"],
)
def test_deeds_that_are_ordinary(con, deeds: list[tuple[str, str]]):
    for at, deed in deeds:
        act(con, at, deed)
    assert found(con, RARE).empty


def test_deeds_need_the_whole_log_and_long_enough(con):
    skipped(con, RARE, "directory_audits", "partial")
    cover(con, "directory_audits", "complete")
    con.execute("UPDATE coverage SET from_at = '2026-11-01'")
    with pytest.raises(UserError, match="must go back to 2026-10-26"):
        found(con, RARE)
