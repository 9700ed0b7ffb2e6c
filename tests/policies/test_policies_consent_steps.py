"""Policies about what people do with a consent: refuse it, take it back, or give it before something else happens."""

from __future__ import annotations

import duckdb
import pytest
from policy_tables import APP, SP, cover, found, one
from state_tables import put, state_warehouse

from appgov_lib.errors import UserError

PEOPLE = ("u1", "u2", "u3", "u4")


@pytest.fixture
def con() -> duckdb.DuckDBPyConnection:
    """A warehouse with one outside app that came on 1 November and nobody vouches for."""
    con = state_warehouse()
    put(con, "app_inventory", app_origin="external", publisher_verified=False, added_on="2026-11-01")
    for person in PEOPLE:
        put(con, "stg_users", user_id=person, user_principal_name=f"{person}@x.example")
    return con


def skipped(con: duckdb.DuckDBPyConnection, policy: str, source: str) -> None:
    """The policy is not judged without a source."""
    cover(con, source, "not_permitted")
    with pytest.raises(UserError, match=f"Source {source} is not permitted"):
        found(con, policy)


# ---- consents-taken-back ---------------------------------------------------------------------------------------------


def consent(con: duckdb.DuckDBPyConnection, person: str, taken: str | None = None, **more: object) -> None:
    """A person's consent of 3 November, taken back on a day of November."""
    row = {
        "grant_id": f"g-{person}",
        "service_principal_id": SP,
        "permission": "Mail.Read",
        "permission_type": "delegated",
        "consent_type": "user",
        "principal_id": person,
        "valid_from": "2026-11-03 09:00",
        "valid_to": taken and f"2026-11-{taken}",
    }
    put(con, "grant_history", **{**row, **more})


def test_consents_that_people_took_back(con):
    for person, taken in zip(PEOPLE, ("05 10:00", "06 10:00", "12 10:00", None), strict=True):
        consent(con, person, taken)
    row = one(con, "consents-taken-back")
    assert row["measure"] == 3
    assert row["reason"] == (
        "Of 4 people who consented to this new app, 3 took it back, the first on 2026-11-05, the last on 2026-11-12."
    )
    con.execute("UPDATE app_inventory SET added_on = '2025-01-01'")
    assert found(con, "consents-taken-back").empty  # an old app that people leave


def test_consents_that_only_the_audit_log_holds(con):
    for person in PEOPLE[:3]:
        told = {"audit_id": f"c-{person}", "actor_id": person, "activity_at": "2026-11-03 09:00"}
        put(con, "stg_directory_audits", **told, activity="Consent to application", target_ids=[SP], targets="[]")
        # the API is the target, the app one of its properties
        told |= {"audit_id": f"r-{person}", "activity_at": "2026-11-04 09:00", "target_ids": ["graph"]}
        properties = f'[{{"modifiedProperties": [{{"displayName": "ServicePrincipal.ObjectID", "newValue": "{SP}"}}]}}]'
        put(con, "stg_directory_audits", **told, activity="Remove delegated permission grant", targets=properties)
    assert one(con, "consents-taken-back")["measure"] == 3
    con.execute("UPDATE stg_directory_audits SET activity_at = '2026-11-02' WHERE audit_id LIKE 'r-%'")
    assert found(con, "consents-taken-back").empty  # nothing was given before


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE grant_history SET revoked_by_id = 'admin'",
        "DELETE FROM stg_users",
        "UPDATE grant_history SET valid_to = NULL WHERE principal_id = 'u3'",
        "INSERT INTO grant_history (service_principal_id, permission_type, consent_type, principal_id, valid_from) "
        f"SELECT '{SP}', 'delegated', 'user', 'p' || range, '2026-11-03' FROM range(20)",
        "UPDATE app_inventory SET is_in_scope = false",
    ],
    ids=["an administrator cleaned up", "the people left", "two people", "few of many", "Microsoft's own"],
)
def test_consents_that_went_for_another_reason(con, change: str):
    for person in PEOPLE[:3]:
        consent(con, person, "05 10:00")
    assert len(found(con, "consents-taken-back")) == 1
    con.execute(change)
    assert found(con, "consents-taken-back").empty


@pytest.mark.parametrize("source", ["directory_audits", "delegated_grants", "users"])
def test_withdrawals_are_not_judged_without_their_sources(con, source: str):
    skipped(con, "consents-taken-back", source)


# ---- consent-refused-by-users ----------------------------------------------------------------------------------------


def refuse(con: duckdb.DuckDBPyConnection, person: str, at: str = "10 09:00", **more: object) -> None:
    """A person refuses at sign-in."""
    row = {
        "sign_in_id": f"s-{person}",
        "app_id": APP,
        "app_name": "Viewer",
        "user_id": person,
        "sign_in_type": "interactive",
    }
    put(con, "stg_sign_ins", **{**row, "created_at": f"2026-11-{at}", "error_code": 65004, **more})


def accept(con: duckdb.DuckDBPyConnection, *people: str) -> None:
    """People who consented."""
    for person in people:
        put(con, "stg_delegated_grants", grant_id=f"g-{person}", service_principal_id=SP, consent_type="Principal",
            principal_id=person, scopes=["Mail.Read"])  # fmt: skip


def test_a_new_app_that_people_refuse(con):
    for number, person in enumerate(PEOPLE):
        refuse(con, person, f"10 09:0{number}")
    accept(con, "u4", "u5")
    row = one(con, "consent-refused-by-users")
    assert row["measure"] == 3  # the fourth refused first and consented later
    assert row["reason"] == (
        "Of 5 people whom this new app asked for consent, 3 refused, from 2026-11-10 09:00 UTC to 2026-11-10 09:02 UTC."
    )


def test_an_app_that_nobody_let_in(con):
    for person in PEOPLE:
        refuse(con, person, app_id="another")
    row = one(con, "consent-refused-by-users")
    assert (row["service_principal_id"], row["app_display_name"]) == ("another", "Viewer")
    assert row["reason"].endswith("nobody let it into the directory.")
    con.execute("INSERT INTO stg_sign_ins (app_id, created_at) VALUES ('another', '2026-09-01')")
    assert found(con, "consent-refused-by-users").empty  # seen long before


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE stg_sign_ins SET error_code = 65001",
        "DELETE FROM stg_sign_ins WHERE user_id = 'u3'",
        "UPDATE app_inventory SET added_on = '2025-01-01'",
        "UPDATE app_inventory SET is_in_scope = false",
        "INSERT INTO stg_delegated_grants (service_principal_id, consent_type, principal_id) "
        f"SELECT '{SP}', 'Principal', 'p' || range FROM range(4)",
        "UPDATE stg_sign_ins SET app_id = '00000002-0000-0000-c000-000000000000'",
    ],
    ids=["consent is missing", "two people", "an old app", "Microsoft's own", "most accept", "Microsoft's, not read"],
)
def test_refusals_that_mean_little(con, change: str):
    for person in PEOPLE[:3]:
        refuse(con, person)
    assert len(found(con, "consent-refused-by-users")) == 1
    con.execute(change)
    assert found(con, "consent-refused-by-users").empty


def test_refusals_are_not_judged_without_sign_ins(con):
    skipped(con, "consent-refused-by-users", "sign_ins_interactive")


# ---- consent-credential-new-use --------------------------------------------------------------------------------------

CHAIN = "consent-credential-new-use"


def event(con: duckdb.DuckDBPyConnection, at: str, name: str, detail: str = "", **more: object) -> None:
    """One event of the app, in November 2026."""
    put(con, "app_events", happened_at=f"2026-11-{at}", event=name, detail=detail, **more)


def chain(con: duckdb.DuckDBPyConnection, granted: str = "09 09:00", added: str = "10 09:00") -> None:
    """A permission, a credential, and a sign-in from a new network."""
    event(con, granted, "application_permission added", "Mail.Read of Microsoft Graph", actor_name="Ada")
    event(con, added, "credential added", "secret k2", actor_name="Bob", actor_id="u2")
    event(con, "11 02:00", "new network", "AS64500")
    put(con, "stg_sign_ins", app_id=APP, sign_in_type="service_principal", error_code=0, asn=64500, country="MD")


def test_permission_credential_network_and_mail(con):
    chain(con)
    event(con, "11 02:10", "new endpoint family", "/users/{id}/messages")
    event(con, "11 02:10", "new endpoint family", "/groups")
    row = one(con, CHAIN)
    assert row["measure"] == 2
    assert row["reason"] == (
        "The app was given Mail.Read of Microsoft Graph on 2026-11-09 09:00 UTC by Ada, a credential on 2026-11-10 "
        "09:00 UTC by Bob, and from 2026-11-11 02:00 UTC it did what it had never done (new endpoint family: "
        "/users/{id}/messages, new network: AS64500)."
    )
    assert row["evidence"]["actor_id"] == "u2"


@pytest.mark.parametrize(
    ("granted", "added"),
    [("10 09:00", "09 09:00"), ("07 09:00", "10 09:00"), ("10 09:00", "11 03:00"), ("01 09:00", "02 09:00")],
    ids=["credential first", "three days between", "credential after the use", "long ago"],
)
def test_the_steps_in_another_order_or_apart(con, granted: str, added: str):
    chain(con, granted, added)
    assert found(con, CHAIN).empty


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE stg_sign_ins SET sign_in_type = 'interactive'",
        "UPDATE stg_sign_ins SET error_code = 7000215",
        "UPDATE app_events SET is_dated = false WHERE event = 'credential added'",
        "UPDATE app_inventory SET is_in_scope = false",
        "INSERT INTO app_permissions (app_id, permission, resource_name, permission_type, privilege_level) "
        f"VALUES ('{APP}', 'Mail.Read', 'Microsoft Graph', 'application', 'low')",
    ],
    ids=["a user travels", "refused there", "no time known", "Microsoft's own", "a harmless permission"],
)
def test_a_chain_with_a_link_that_does_not_hold(con, change: str):
    chain(con)
    assert len(found(con, CHAIN)) == 1
    con.execute(change)
    assert found(con, CHAIN).empty


@pytest.mark.parametrize("source", ["directory_audits", "service_principals"])
def test_the_chain_is_not_judged_without_its_sources(con, source: str):
    skipped(con, CHAIN, source)


def test_the_chain_needs_one_log_of_use(con):
    chain(con)
    cover(con, "sign_ins_service_principal", "not_licensed")
    assert len(found(con, CHAIN)) == 1
    cover(con, "api_activity", "not_licensed")
    with pytest.raises(UserError, match="not licensed"):
        found(con, CHAIN)


# ---- consent-soon-after-birth ----------------------------------------------------------------------------------------

BIRTH = "consent-soon-after-birth"


def birth(con: duckdb.DuckDBPyConnection, granted: str = "10 09:20") -> None:
    """An app comes and gets a strong permission for everybody."""
    event(con, "10 09:00", "app added", "enterprise application", actor_name="Ada")
    event(con, granted, "application_permission added", "Mail.Read of Microsoft Graph", actor_name="Ada")
    put(con, "app_permissions", service_principal_id=SP, app_id=APP, permission="Mail.Read", consent_type="admin",
        resource_name="Microsoft Graph", permission_type="application", privilege_level="high")  # fmt: skip


def test_a_strong_permission_as_the_app_came(con):
    birth(con)
    event(con, "10 09:21", "application_permission added", "User.Read.All of Microsoft Graph", actor_name="Ada")
    row = one(con, BIRTH)
    assert row["measure"] == 20
    assert row["reason"] == (
        "The app came on 2026-11-10 09:00 UTC and 20 minutes later Ada gave it for everybody: Mail.Read of Microsoft "
        "Graph; its publisher is not verified."
    )
    assert row["evidence"]["permissions"] == ["Mail.Read of Microsoft Graph"]


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE app_events SET happened_at = '2026-11-10 10:01' WHERE event <> 'app added'",
        "UPDATE app_inventory SET app_origin = 'internal'",
        "UPDATE app_inventory SET publisher_verified = true",
        "UPDATE app_permissions SET privilege_level = 'medium'",
        "UPDATE app_permissions SET consent_type = 'user'",
        "UPDATE app_inventory SET is_in_scope = false",
    ],
    ids=["an hour later", "our own", "verified", "medium", "for one user", "Microsoft's own"],
)
def test_ordinary_ways_of_coming(con, change: str):
    birth(con)
    assert len(found(con, BIRTH)) == 1
    con.execute(change)
    assert found(con, BIRTH).empty


def test_coming_is_not_judged_without_the_audit_log(con):
    skipped(con, BIRTH, "directory_audits")
