"""Policies that need no directory: an event of a log is enough, whatever is known of its app."""

from __future__ import annotations

import duckdb
import pytest
from policy_tables import SP, cover, found, one
from state_tables import put, state_warehouse

from appgov_lib.errors import UserError

GONE = "00000000-0000-4000-8000-00000000dead"
NEEDS = [
    ("change-to-unread-app", ("directory_audits",)),
    ("consent-stopped", ("directory_audits",)),
    ("credential-refused", ("sign_ins_service_principal",)),
    ("app-sign-in-at-low-risk", ("sign_ins_service_principal",)),
    ("app-sign-in-at-risk", ("sign_ins_service_principal", "sign_ins_managed_identity")),
    ("tool-signs-in-for-users", ("sign_ins_interactive", "sign_ins_non_interactive")),
]


@pytest.fixture
def con() -> duckdb.DuckDBPyConnection:
    """An empty warehouse."""
    return state_warehouse()


def audit(con: duckdb.DuckDBPyConnection, activity: str, target: str, **more: object) -> None:
    """An event of the audit log about an app."""
    put(con, "audited_apps", **{"activity": activity, "object_id": target, "app_name": "Gone App"} | more)


def sign_in(con: duckdb.DuckDBPyConnection, kind: str = "service_principal", **more: object) -> None:
    """A sign-in of an app nobody has read."""
    row = {"app_id": "a9", "service_principal_id": "s9", "service_principal_name": "Robot", "sign_in_type": kind}
    put(con, "stg_sign_ins", **row | {"error_code": 0, "ip_address": "192.0.2.1"} | more)


@pytest.mark.parametrize(("policy", "sources"), NEEDS)
def test_without_its_log_a_policy_is_not_judged(con, policy: str, sources: tuple[str, ...]):
    assert found(con, policy).empty
    for source in sources:
        cover(con, source, "not_permitted")
    with pytest.raises(UserError, match="not permitted"):
        found(con, policy)


@pytest.mark.parametrize(
    ("time", "said"),
    [("2026-11-12 09:00", "first on 2026-11-12 09:00 UTC"), (None, "at a time the log does not hold")],
)
def test_a_change_to_an_app_nobody_read_is_told(con, time: str | None, said: str):
    audit(con, "Add service principal credentials", GONE, activity_at=time)
    row = one(con, "change-to-unread-app")
    assert (row["service_principal_id"], row["app_display_name"]) == (GONE, "Gone App")
    assert row["reason"] == (
        "Add service principal credentials: 1 event about an app that is not in the directory lists that were read, "
        f"{said}, by Ada. What the app may do is not known."
    )


@pytest.mark.parametrize(
    "event",
    [
        {"is_in_directory": True},
        {"activity_at": "2026-11-08 23:59"},
        {"result": "failure"},
        {"is_rotation": True},
        {"is_first_party": True},
        {"activity": "Update user"},
    ],
    ids=["read", "earlier", "failed", "rotation", "Microsoft's own", "another activity"],
)
def test_other_changes_are_no_matter_of_it(con, event: dict[str, object]):
    audit(con, **{"activity": "Add owner to application", "target": GONE} | event)
    assert found(con, "change-to-unread-app").empty


MICROSOFT = "14d82eec-204b-4c2f-b7e8-296a70dab67e"  # Graph PowerShell, from the list of Microsoft's app ids


def test_microsofts_own_apps_are_known_without_the_directory(con):
    own = {"app_id": MICROSOFT, "service_principal_id": "s8"}
    sign_in(con, error_code=7000215, **own)
    sign_in(con, risk_level="high", risk_state="atRisk", **own)
    sign_in(con, risk_level="low", risk_state="none", **own)
    sign_in(con, "interactive", user_agent="curl/8.1", app_name="Graph PowerShell", **own)
    audit(con, "Consent to application", GONE, result="failure", is_first_party=True)
    audit(con, "Add service principal", GONE, audit_id="e2", is_first_party=True)
    for policy, _ in NEEDS:
        assert found(con, policy).empty, policy
    assert found(con, "app-created").empty
    # the same of an id that is on no list
    con.execute(f"UPDATE stg_sign_ins SET app_id = 'a9' WHERE app_id = '{MICROSOFT}'")
    con.execute("UPDATE audited_apps SET is_first_party = false")
    told = {policy for policy, _ in NEEDS if not found(con, policy).empty}
    assert told == {policy for policy, _ in NEEDS} - {"change-to-unread-app", "credential-refused"}
    assert len(found(con, "app-created")) == 1


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({}, None),
        ({"risk_state": "dismissed"}, ""),
        ({"sign_in_type": "managed_identity"}, ""),
        ({"risk_level": "none"}, ""),
    ],
    ids=["low", "dismissed", "a managed identity", "none"],
)
def test_a_low_risk_is_told_for_the_record(con, more: dict[str, object], said: str | None):
    sign_in(con, created_at="2026-11-11 08:00")
    row = {
        "kind": "service_principal",
        "risk_level": "low",
        "risk_state": "none",
        "created_at": "2026-11-10 08:00",
    } | more
    sign_in(con, str(row.pop("sign_in_type", row.pop("kind"))), sign_in_id="s2", **row)
    if said == "":
        assert found(con, "app-sign-in-at-low-risk").empty
    else:
        assert one(con, "app-sign-in-at-low-risk")["reason"] == (
            "1 of 2 sign-ins of the app carried a risk that Microsoft calls low, first on 2026-11-10 08:00 UTC."
        )
    assert found(con, "app-sign-in-at-risk").empty


def test_a_refused_consent_is_told_with_its_reason_and_a_given_one_is_not(con):
    audit(con, "Consent to application", GONE, result="failure", result_reason="BlockedForRiskyApps")
    audit(con, "Consent to application", SP, audit_id="e2")
    row = one(con, "consent-stopped")
    assert row["app_display_name"] == "Gone App"
    assert row["reason"] == (
        "Consent was refused 1 time from 2026-11-12 09:00 UTC on, asked for by Ada; why: BlockedForRiskyApps. "
        "Nothing was granted."
    )


def test_every_sign_in_refused_for_its_credential(con):
    sign_in(con, error_code=7000222, created_at="2026-11-10 08:00")
    sign_in(con, error_code=7000222, created_at="2026-11-11 08:00")
    row = one(con, "credential-refused")
    assert (row["service_principal_id"], row["app_id"], row["app_display_name"], row["measure"]) == (
        "s9",
        "a9",
        "Robot",
        2,
    )
    assert row["reason"] == (
        "All 2 sign-ins of the app were refused for its credential, first on 2026-11-10 08:00 UTC (error 7000222): its "
        "secret has ended and something still uses it."
    )
    sign_in(con, created_at="2026-11-12 08:00")
    assert found(con, "credential-refused").empty  # it signs in: somebody mistyped, or a second copy runs


@pytest.mark.parametrize(
    "more", [{"error_code": 53003}, {"sign_in_type": "interactive"}], ids=["other error", "a user"]
)
def test_other_refusals_say_nothing_of_the_credential(con, more: dict[str, object]):
    sign_in(con, **{"error_code": 7000215, **more})
    assert found(con, "credential-refused").empty


def test_a_sign_in_at_risk_until_somebody_dismisses_it(con):
    sign_in(con, risk_level="high", risk_state="atRisk", created_at="2026-11-10 08:00")
    assert one(con, "app-sign-in-at-risk")["reason"] == (
        "1 sign-in of the app carried a risk that Microsoft calls high, first on 2026-11-10 08:00 UTC; nobody has "
        "dismissed it."
    )
    con.execute("UPDATE stg_sign_ins SET risk_state = 'dismissed'")
    assert found(con, "app-sign-in-at-risk").empty
    con.execute("UPDATE stg_sign_ins SET risk_state = 'atRisk', sign_in_type = 'interactive'")
    assert found(con, "app-sign-in-at-risk").empty  # that is the risk of a person


def test_a_program_that_signs_in_as_a_person(con):
    person = {"user_id": "u1", "user_principal_name": "ada@x.example", "app_name": "Own Tool", "user_agent": "curl/8.1"}
    sign_in(con, "interactive", created_at="2026-11-10 08:00", **person)
    row = one(con, "tool-signs-in-for-users")
    assert row["reason"] == "curl signed in through the app 1 time for ada@x.example, first on 2026-11-10 08:00 UTC."
    con.execute("UPDATE stg_sign_ins SET user_agent = 'Mozilla/5.0 curl/8.1'")
    assert found(con, "tool-signs-in-for-users").empty
    con.execute("UPDATE stg_sign_ins SET user_agent = 'curl/8.1', sign_in_type = 'service_principal'")
    assert found(con, "tool-signs-in-for-users").empty  # for an app it is the ordinary way
    con.execute("UPDATE stg_sign_ins SET sign_in_type = 'interactive', error_code = 50126")
    assert found(con, "tool-signs-in-for-users").empty
    put(con, "app_inventory", app_id="a9", is_first_party=True)
    con.execute("UPDATE stg_sign_ins SET error_code = 0")
    assert found(con, "tool-signs-in-for-users").empty
