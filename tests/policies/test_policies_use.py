"""The policies about use, credentials and change: each fires, stays silent, and says when it cannot judge."""

from __future__ import annotations

import datetime as dt
from typing import Any

import duckdb
import pytest
from policy_tables import APP, REGISTRATION, SP, add, cover, empty_warehouse, found, one

from appgov_lib.errors import UserError


@pytest.fixture
def con() -> duckdb.DuckDBPyConnection:
    """An empty warehouse."""
    return empty_warehouse()


# unused-app: as of 2026-11-15; the day ends at 2026-11-16 00:00, so 90 days reach back to 2026-08-18 00:00.


def test_unused_app_is_found(con):
    add(con, "app_inventory", last_used_at="2026-08-17 23:59:59", permission_count=1)
    row = one(con, "unused-app")
    assert (row["measure"], row["threshold"]) == (90, 90)  # 17 August to 15 November: 14 + 30 + 31 + 15
    assert row["reason"] == (
        "Last used on 2026-08-17, 90 days ago (threshold 90); it still holds 1 permission and 1 credential."
    )


def test_app_never_seen_in_use_is_found(con):
    add(con, "app_inventory", last_used_at=None, created_at="2026-01-01", credential_count=0)
    assert one(con, "unused-app")["reason"] == (
        # 1 January to 15 November: 365 - 46 days left - 1
        "No sign-in and no API call is known since the app was added on 2026-01-01, 318 days ago (threshold 90); it "
        "still holds 2 permissions and 0 credentials."
    )


@pytest.mark.parametrize(
    "app",
    [
        {"last_used_at": "2026-08-18"},
        {"created_at": "2026-08-18", "last_used_at": None},
        {"created_at": None, "last_used_at": None},
        {"permission_count": 0, "credential_count": 0},
        {"status": "disabled_by_user"},
        {"is_first_party": True},
        {"service_principal_type": "ManagedIdentity"},
    ],
)
def test_unused_app_is_silent(con, app: dict[str, Any]):
    add(con, "app_inventory", **{"last_used_at": "2026-01-01", **app})
    assert found(con, "unused-app").empty


def test_unused_app_with_a_directory_role_is_found(con):
    roles = ["User Administrator"]
    add(con, "app_inventory", last_used_at=None, permission_count=0, credential_count=0, directory_roles=roles)
    assert len(found(con, "unused-app")) == 1


def test_unused_app_needs_the_sign_in_report(con):
    cover(con, "service_principal_sign_in_activities", "not_licensed")
    with pytest.raises(UserError, match="service_principal_sign_in_activities is not licensed"):
        found(con, "unused-app")


# unused-credential


def test_credential_idle_while_the_app_works_is_found(con):
    add(con, "app_inventory")
    add(con, "app_credentials", last_used_at="2026-08-01")
    row = one(con, "unused-credential")
    assert (row["subject"], row["measure"], row["threshold"]) == ("k1", 106, 90)  # 30 + 30 + 31 + 15 days
    assert row["reason"] == (
        "A secret was last used on 2026-08-01, 106 days ago, while the app itself is in use, and works until "
        "2027-11-15."
    )


def test_credential_never_used_is_found(con):
    add(con, "app_inventory")
    add(con, "app_credentials", last_used_at=None, starts_at="2026-08-17", credential_type="certificate")
    assert one(con, "unused-credential")["reason"] == (
        "A certificate made on 2026-08-17 has no recorded use in 90 days, and works until 2027-11-15."
    )


def test_credential_never_used_is_not_said_without_the_whole_report(con):
    add(con, "app_inventory")
    add(con, "app_credentials", last_used_at=None, starts_at="2026-01-01")
    cover(con, "credential_sign_in_activities", "partial")
    assert found(con, "unused-credential").empty


@pytest.mark.parametrize(
    ("app", "credential"),
    [
        ({}, {"last_used_at": "2026-08-18"}),
        ({"last_used_at": "2026-08-01"}, {"last_used_at": "2026-08-01"}),  # the app stopped altogether: unused-app
        ({}, {"last_used_at": None, "starts_at": "2026-08-18"}),
        ({"created_at": "2026-10-18"}, {"last_used_at": None, "starts_at": "2026-01-01"}),  # 29 days old
        ({}, {"last_used_at": "2026-08-01", "ends_at": "2026-11-15"}),  # ended
        ({}, {"last_used_at": "2026-08-01", "credential_type": "federated"}),
        ({"is_first_party": True}, {"last_used_at": "2026-08-01"}),
        ({"service_principal_type": "ManagedIdentity"}, {"last_used_at": "2026-08-01"}),
    ],
)
def test_unused_credential_is_silent(con, app: dict[str, Any], credential: dict[str, Any]):
    add(con, "app_inventory", **app)
    add(con, "app_credentials", **credential)
    assert found(con, "unused-credential").empty


def test_unused_credential_needs_its_report(con):
    cover(con, "credential_sign_in_activities", "not_permitted")
    with pytest.raises(UserError, match="credential_sign_in_activities is not permitted"):
        found(con, "unused-credential")


# expiring-credential


def test_expiring_credential_is_found(con):
    add(con, "app_inventory")
    add(con, "app_credentials", ends_at="2026-12-15 23:59:59")
    row = one(con, "expiring-credential")
    assert (row["subject"], row["measure"], row["threshold"]) == ("k1", 30, 30)  # 15 November + 30 = 15 December
    assert row["reason"] == (
        "A secret ends on 2026-12-15, in 30 days, and no other secret of the app lasts 30 days longer; it was last "
        "used on 2026-11-14."
    )


@pytest.mark.parametrize(
    ("last_used_known", "words"), [(True, "no use of it is known."), (False, "whether it is used is not known.")]
)
def test_expiring_credential_says_what_is_known_of_its_use(con, last_used_known: bool, words: str):
    add(con, "app_inventory")
    add(con, "app_credentials", ends_at="2026-11-15", last_used_at=None, last_used_known=last_used_known)
    row = one(con, "expiring-credential")
    assert row["measure"] == 0
    assert row["reason"].endswith(words)


@pytest.mark.parametrize(
    ("app", "credential"),
    [
        ({}, {"ends_at": "2026-12-16"}),
        ({}, {"ends_at": "2026-11-14 23:59:59"}),
        ({}, {"ends_at": None}),
        ({"status": "disabled_by_user"}, {}),
        ({"is_first_party": True}, {}),
        ({"service_principal_type": "ManagedIdentity"}, {}),
    ],
)
def test_expiring_credential_is_silent(con, app: dict[str, Any], credential: dict[str, Any]):
    add(con, "app_inventory", **app)
    add(con, "app_credentials", **{"ends_at": "2026-11-20", **credential})
    assert found(con, "expiring-credential").empty


@pytest.mark.parametrize(
    ("successor", "count"),
    [
        ({"ends_at": "2026-12-20 00:00:01"}, 0),  # more than 30 days after 20 November
        ({"ends_at": "2026-12-20"}, 1),
        ({"ends_at": "2028-01-01", "credential_type": "certificate"}, 1),
        ({"ends_at": "2028-01-01", "app_id": "other"}, 1),
        ({"ends_at": "2028-01-01", "credential_origin": "service_principal"}, 0),
    ],
)
def test_expiring_credential_knows_its_successor(con, successor: dict[str, Any], count: int):
    add(con, "app_inventory")
    add(con, "app_credentials", ends_at="2026-11-20")
    add(con, "app_credentials", **{"key_id": "k2", **successor})
    assert len(found(con, "expiring-credential")) == count


def test_expiring_credential_needs_the_inventory(con):
    cover(con, "service_principals", "failed")
    with pytest.raises(UserError, match="service_principals could not be read"):
        found(con, "expiring-credential")


# dormant-app-new-credential: the credential comes on 10 November; 45 days before is 26 September.

CHANGE = {
    "audit_id": "a1",
    "activity_at": "2026-11-10 12:00",
    "activity": "Update application - Certificates and secrets management",
    "target_ids": [REGISTRATION],
}


def dormant(con: duckdb.DuckDBPyConnection, before: str | None, after: str | None, **audit: Any) -> None:
    """An app used at `before` and `after`, with a new credential between them."""
    add(con, "app_inventory")
    add(con, "stg_directory_audits", **{**CHANGE, **audit})
    for number, at in enumerate((before, after)):
        if at:
            add(con, "stg_sign_ins", sign_in_id=str(number), created_at=at, app_id=APP)


def test_dormant_app_that_came_back_is_found(con):
    dormant(con, "2026-09-20 08:00", "2026-11-10 12:30")
    row = one(con, "dormant-app-new-credential")
    assert (row["measure"], row["threshold"]) == (51, 45)  # 20 September to 10 November: 10 + 31 + 10
    assert row["reason"] == (
        "Last used on 2026-09-20, the app got a new credential on 2026-11-10 12:00 UTC, 51 days later, and was used "
        "again from 2026-11-10 12:30 UTC."
    )
    assert row["evidence"]["actor_name"] == "Ada"
    assert row["evidence"]["uses_after"] == 1


@pytest.mark.parametrize(
    ("activity", "target"),
    [
        ("Add service principal credentials", SP),
        ("Update service principal credentials", SP.upper()),
        ("Update application - Certificates and secrets management", REGISTRATION),
    ],
)
def test_dormant_app_is_found_by_every_way_to_add_a_credential(con, activity: str, target: str):
    dormant(con, "2026-09-01", "2026-11-12", activity=activity, target_ids=["something", target])
    assert len(found(con, "dormant-app-new-credential")) == 1


def test_use_in_the_hours_before_the_credential_belongs_to_the_return(con):
    dormant(con, "2026-11-10 02:00", "2026-11-10 12:30")
    assert one(con, "dormant-app-new-credential")["measure"] == 85  # counted from the start of the log


def test_dormant_app_may_come_back_through_an_api_call(con):
    dormant(con, "2026-09-01", None)
    times = {"first_called_at": "2026-11-11 07:00", "last_called_at": "2026-11-11 09:00"}
    add(con, "api_calls_daily", app_id=APP, calls=40, **times)
    evidence = one(con, "dormant-app-new-credential")["evidence"]
    assert evidence["used_after"].startswith("2026-11-11 07:00")
    assert evidence["uses_after"] == 40


def test_dormant_app_never_seen_counts_from_the_start_of_the_log(con):
    dormant(con, None, "2026-11-11")
    row = one(con, "dormant-app-new-credential")
    assert row["measure"] == 85  # 17 August to 10 November: 14 + 30 + 31 + 10
    assert row["reason"].startswith("Not seen in use since 2026-08-17, ")


@pytest.mark.parametrize(
    ("before", "after", "audit"),
    [
        ("2026-09-27", "2026-11-11", {}),  # 44.5 days
        ("2026-11-09 11:59", "2026-11-11", {}),  # in use the day before
        ("2026-09-01", None, {}),
        ("2026-09-01", "2026-11-16 00:00", {}),  # after the period
        ("2026-09-01", "2026-11-11", {"activity": "Update application"}),
        ("2026-09-01", "2026-11-11", {"result": "failure"}),
        ("2026-09-01", "2026-11-11", {"target_ids": ["someone else"]}),
        ("2026-08-20", "2026-11-11", {"activity_at": "2026-11-01 23:59"}),  # before the two periods
    ],
)
def test_dormant_app_is_silent(con, before: str, after: str | None, audit: dict[str, Any]):
    dormant(con, before, after, **audit)
    assert found(con, "dormant-app-new-credential").empty


def test_idle_is_not_said_of_days_without_a_log(con):
    dormant(con, None, "2026-11-11")
    con.execute("UPDATE coverage SET from_at = '2026-10-16' WHERE source = 'sign_ins_service_principal'")
    assert found(con, "dormant-app-new-credential").empty


def test_young_app_with_its_first_credential_is_silent(con):
    dormant(con, None, "2026-11-11")
    con.execute("UPDATE app_inventory SET created_at = '2026-11-01'")
    assert found(con, "dormant-app-new-credential").empty


@pytest.mark.parametrize("source", ["directory_audits", "sign_ins_service_principal"])
def test_dormant_app_needs_the_logs(con, source: str):
    cover(con, source, "not_licensed")
    with pytest.raises(UserError, match=f"{source} is not licensed"):
        found(con, "dormant-app-new-credential")


def test_imported_audits_stand_in_for_the_graph_source(con):
    dormant(con, "2026-09-01", "2026-11-11")
    cover(con, "directory_audits", "not_permitted")
    add(con, "coverage", source="directory_audits_unified_audit", status="partial")
    assert len(found(con, "dormant-app-new-credential")) == 1


# unusual-data-transfer

RISE = {"metric": "bytes_returned", "observed": 3e9, "expected": 1e9, "upper": 2e9}


def test_unusual_transfer_is_found(con):
    add(con, "app_inventory")
    add(con, "anomalies", **RISE, day=dt.date(2026, 11, 14))
    add(con, "anomalies", **{**RISE, "observed": 1.5e9}, day=dt.date(2026, 11, 15))  # part of a raised week
    add(con, "anomalies", **{**RISE, "observed": 9e9, "is_anomaly": False}, day=dt.date(2026, 11, 13))
    row = one(con, "unusual-data-transfer")
    assert (row["measure"], row["threshold"]) == (4.5e9, 2e9)
    assert row["reason"] == (
        "Received 4.5 GB on 2 days between 2026-11-14 and 2026-11-15 where 2.0 GB was expected from 8 earlier days, "
        "2.2 times as much."
    )
    assert [day["day"] for day in row["evidence"]["days"]] == ["2026-11-14", "2026-11-15"]


@pytest.mark.parametrize(
    ("app", "anomaly"),
    [
        ({}, {"is_anomaly": False}),
        ({}, {"observed": 0.0}),
        ({}, {"metric": "api_calls"}),
        ({}, {"day": dt.date(2026, 11, 8)}),
        ({"is_first_party": True}, {}),
        ({"service_principal_type": "ManagedIdentity"}, {}),
    ],
)
def test_unusual_transfer_is_silent(con, app: dict[str, Any], anomaly: dict[str, Any]):
    add(con, "app_inventory", **app)
    add(con, "anomalies", **{**RISE, "day": dt.date(2026, 11, 14), **anomaly})
    assert found(con, "unusual-data-transfer").empty


def test_unusual_transfer_needs_the_calls(con):
    cover(con, "api_activity", "not_licensed")
    with pytest.raises(UserError, match="api_activity is not licensed"):
        found(con, "unusual-data-transfer")


# app-went-silent

FALL = {"metric": "sign_ins", "observed": 0.0, "expected": 40.0, "lower": 20.0}


def silent(con: duckdb.DuckDBPyConnection, days: int, **values: Any) -> None:
    """So many days of silence, the last on 15 November."""
    for back in range(days):
        add(con, "anomalies", **{**FALL, "day": dt.date(2026, 11, 15) - dt.timedelta(days=back), **values})


def test_silent_app_is_found(con):
    add(con, "app_inventory")
    silent(con, 3)
    row = one(con, "app-went-silent")
    assert (row["measure"], row["threshold"]) == (3, 3)
    assert row["reason"] == (
        "No sign-in and no API call was seen on 3 days between 2026-11-13 and 2026-11-15, on which about 120 sign-ins "
        "and calls were expected from its earlier weeks."
    )


def test_app_that_still_calls_is_not_silent(con):
    add(con, "app_inventory")
    silent(con, 4)
    silent(con, 4, metric="api_calls", observed=30.0, is_anomaly=False)
    assert found(con, "app-went-silent").empty


@pytest.mark.parametrize(
    ("days", "app", "values"),
    [
        (2, {}, {}),
        (3, {}, {"observed": 1.0}),
        (3, {}, {"is_anomaly": False}),
        (3, {}, {"metric": "bytes_returned"}),
        (3, {"status": "disabled_by_user"}, {}),
        (3, {"is_first_party": True}, {}),
    ],
)
def test_silent_app_is_silent(con, days: int, app: dict[str, Any], values: dict[str, Any]):
    add(con, "app_inventory", **app)
    silent(con, days, **values)
    assert found(con, "app-went-silent").empty


def test_silent_app_needs_some_log(con):
    for source in ("sign_ins_service_principal", "sign_ins_non_interactive", "sign_ins_interactive"):
        cover(con, source, "not_licensed", "needs Entra ID P1")
    add(con, "app_inventory")
    silent(con, 3)
    assert len(found(con, "app-went-silent")) == 1  # the calls are there
    cover(con, "api_activity", "not_collected")
    with pytest.raises(UserError, match="needs Entra ID P1"):
        found(con, "app-went-silent")
