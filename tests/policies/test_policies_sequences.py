"""The policies about sequences: the steps in their order and within their time fire, any other order stays silent."""

from __future__ import annotations

import duckdb
import pytest
from policy_tables import APP, SP, cover, found, one
from state_tables import put, state_warehouse

from appgov_lib.errors import UserError

GIVER, GIVER_APP = "00000000-0000-4000-8000-00000000000b", "00000000-0000-4000-8000-0000000000b0"
SEQUENCES = ("credential-then-new-place", "power-granted-then-used", "short-lived-app", "access-given-by-an-app")


@pytest.fixture
def con() -> duckdb.DuckDBPyConnection:
    """An empty warehouse with one app."""
    con = state_warehouse()
    put(con, "app_inventory")
    return con


def event(con: duckdb.DuckDBPyConnection, at: str, name: str, detail: str = "", **more: object) -> None:
    """One event of the app, in November 2026."""
    put(con, "app_events", happened_at=f"2026-11-{at}", event=name, detail=detail, **more)


@pytest.mark.parametrize("policy", SEQUENCES)
def test_without_the_audit_log_a_sequence_is_not_judged(con, policy: str):
    assert found(con, policy).empty
    cover(con, "directory_audits", "not_permitted")
    with pytest.raises(UserError, match="Source directory_audits is not permitted"):
        found(con, policy)


def test_a_place_never_seen_after_a_credential(con):
    event(con, "10 09:00", "credential added", "secret k2", actor_name="Ada", actor_id="u1")
    event(con, "11 02:00", "new network", "AS64500")
    event(con, "11 02:05", "new country", "MD")
    event(con, "11 02:10", "new endpoint family", "/users/{id}/messages")
    row = one(con, "credential-then-new-place")
    assert row["measure"] == 2
    assert row["reason"] == (
        "A credential was added on 2026-11-10 09:00 UTC by Ada, and from 2026-11-11 02:00 UTC the app was seen from "
        "where it had never been (new country: MD, new network: AS64500) and began to call /users/{id}/messages."
    )
    assert row["evidence"]["new_endpoints"] == ["/users/{id}/messages"]
    con.execute("UPDATE app_inventory SET service_principal_type = 'ManagedIdentity'")
    assert found(con, "credential-then-new-place").empty


@pytest.mark.parametrize(
    ("credential", "place"),
    [("11 03:00", "11 02:00"), ("07 09:00", "11 02:00"), ("03 09:00", "04 09:00")],
    ids=["place before credential", "too long after", "before the period"],
)
def test_another_order_or_a_longer_time_is_no_sequence(con, credential: str, place: str):
    event(con, credential, "credential added")
    event(con, place, "new network", "AS64500")
    event(con, place, "new country", "MD", app_id="another")
    assert found(con, "credential-then-new-place").empty


def test_power_is_given_and_used(con):
    event(con, "10 09:00", "application_permission added", "RoleManagement.ReadWrite.Directory of Microsoft Graph",
          actor_name="Ada")  # fmt: skip
    event(con, "10 09:20", "acted", "Add member to role")
    row = one(con, "power-granted-then-used")
    assert row["reason"] == (
        "The app was given RoleManagement.ReadWrite.Directory of Microsoft Graph on 2026-11-10 09:00 UTC by Ada and "
        "used such power from 2026-11-10 09:20 UTC: Add member to role."
    )


@pytest.mark.parametrize(
    ("permission", "deed", "at"),
    [
        ("User.Read.All of Microsoft Graph", "Add member to role", "10 09:20"),
        ("RoleManagement.ReadWrite.Directory of Microsoft Graph", "Update user", "10 09:20"),
        ("RoleManagement.ReadWrite.Directory of Microsoft Graph", "Add member to role", "10 08:00"),
        ("RoleManagement.ReadWrite.Directory of Microsoft Graph", "Add member to role", "12 09:00"),
    ],
    ids=["no power", "another deed", "before", "long after"],
)
def test_other_deeds_are_no_use_of_power(con, permission: str, deed: str, at: str):
    event(con, "10 09:00", "application_permission added", permission)
    event(con, at, "acted", deed)
    assert found(con, "power-granted-then-used").empty


def test_an_app_that_lived_for_minutes(con):
    gone = {"app_id": "gone", "service_principal_id": None, "display_name": "Temp"}
    event(con, "10 09:00", "app added", "enterprise application", actor_name="Ada", **gone)
    event(con, "10 09:03", "credential added", "secret k9", **gone)
    event(con, "10 09:05", "used", **gone)
    event(con, "10 09:10", "app removed", "enterprise application", actor_name="Ada", **gone)
    row = one(con, "short-lived-app")
    assert (row["service_principal_id"], row["app_id"], row["measure"]) == ("gone", "gone", 10)
    assert row["reason"] == (
        "The app was created on 2026-11-10 09:00 UTC by Ada and removed 10 minutes later by Ada; in between: "
        "credential added, used."
    )
    assert row["evidence"]["was_used"] is True
    con.execute("UPDATE app_events SET is_dated = false WHERE event = 'app removed'")
    assert found(con, "short-lived-app").empty  # two readings of the directory do not tell the minute


def test_created_and_removed_without_a_step_between_or_late_is_nothing(con):
    event(con, "10 09:00", "app added", app_id="a")
    event(con, "10 09:10", "app removed", app_id="a")
    event(con, "10 09:00", "app added", app_id="b")
    event(con, "10 09:30", "used", app_id="b")
    event(con, "10 10:30", "app removed", app_id="b")
    assert found(con, "short-lived-app").empty


def test_access_given_by_another_app(con):
    put(con, "app_inventory", service_principal_id=GIVER, app_id=GIVER_APP, display_name="Deployer")
    event(con, "10 09:00", "application_permission added", "Mail.Read of Microsoft Graph", actor_id=GIVER)
    event(con, "10 09:01", "credential added", "secret k2", actor_id=GIVER)
    event(con, "10 09:02", "credential added", "secret k3", actor_id="u1")
    row = one(con, "access-given-by-an-app")
    assert (row["subject"], row["measure"]) == (GIVER, 2)
    assert row["reason"].startswith("The app Deployer gave this app 2 things from 2026-11-10 09:00 UTC on (")
    assert row["evidence"]["given_by_app_id"] == GIVER_APP


@pytest.mark.parametrize(
    "giver",
    [{"is_first_party": True}, {"app_id": APP, "service_principal_id": SP + "x"}],
    ids=["Microsoft's service", "its own registration"],
)
def test_services_of_microsoft_and_the_app_itself_give_nothing(con, giver: dict[str, object]):
    put(con, "app_inventory", **{"service_principal_id": GIVER, "app_id": GIVER_APP, **giver})
    actor = giver.get("service_principal_id", GIVER)
    event(con, "10 09:00", "credential added", "certificate k2", actor_id=actor)
    found_ = found(con, "access-given-by-an-app")
    assert found_[found_["service_principal_id"] == SP].empty
