"""The policies that only the unified audit log can answer: forwarding, and mailboxes read until the log gave up."""

from __future__ import annotations

import duckdb
import pytest
from policy_tables import cover, found, one
from state_tables import put, state_warehouse

from appgov_lib.errors import UserError

OUTSIDE = "thief@evil.example"


@pytest.fixture
def con() -> duckdb.DuckDBPyConnection:
    """An empty warehouse with one app and the tenant's domains."""
    con = state_warehouse()
    put(con, "app_inventory")
    put(con, "stg_organization", verified_domains=["contoso.example", "contoso.onmicrosoft.example"])
    return con


@pytest.mark.parametrize("policy", ["forwarding-rule-by-app", "mail-read-throttled"])
def test_without_the_audit_log_a_policy_is_not_judged(con, policy: str):
    assert found(con, policy).empty
    cover(con, "audit_records", "not_collected")
    with pytest.raises(UserError, match="Source audit_records is not collected"):
        found(con, policy)
    put(con, "coverage", source="office_activity_log_analytics", status="partial")
    assert found(con, policy).empty
    con.execute("DELETE FROM coverage WHERE source = 'office_activity_log_analytics'")


def record(con: duckdb.DuckDBPyConnection, day: str = "2026-11-12 02:00", **more: object) -> None:
    """A record of the audit log."""
    put(con, "stg_office_activity", occurred_at=day, user_principal_name="ada@contoso.example", **more)


def test_mail_sent_on_to_an_outsider(con):
    record(con, operation="New-InboxRule", forwards_to=OUTSIDE)
    record(con, "2026-11-13 02:00", operation="Set-Mailbox", forwards_to=f"{OUTSIDE};bob@contoso.example")
    row = one(con, "forwarding-rule-by-app")
    assert row["measure"] == 2
    assert row["reason"] == (
        "Since 2026-11-12 02:00 UTC the app has mail sent on, set 2 times, to thief@evil.example, "
        "thief@evil.example;bob@contoso.example, for ada@contoso.example."
    )
    assert row["evidence"]["operations"] == ["New-InboxRule", "Set-Mailbox"]


def test_a_recipient_nobody_can_place_is_told(con):
    record(con, operation="UpdateInboxRules", forwards_to="not named")
    assert ", to not named, for" in one(con, "forwarding-rule-by-app")["reason"]


@pytest.mark.parametrize(
    "more",
    [
        {"forwards_to": "bob@Contoso.example"},
        {"forwards_to": "Bob <bob@contoso.example>, eve@contoso.onmicrosoft.example"},
        {"forwards_to": None},
        {"forwards_to": OUTSIDE, "result": "failure"},
        {"forwards_to": OUTSIDE, "app_id": None},
        {"forwards_to": OUTSIDE, "app_id": "another"},
        {"forwards_to": OUTSIDE, "day": "2026-11-08 23:59"},
    ],
    ids=["colleague", "two colleagues", "nobody", "failed", "a person", "no app of the tenant", "before the period"],
)
def test_other_rules_are_silent(con, more: dict[str, object]):
    record(con, **{"operation": "New-InboxRule", **more})
    assert found(con, "forwarding-rule-by-app").empty


def test_an_app_out_of_scope_may_forward(con):
    con.execute("UPDATE app_inventory SET is_in_scope = false")
    record(con, operation="New-InboxRule", forwards_to=OUTSIDE)
    record(con, is_throttled=True)
    assert found(con, "forwarding-rule-by-app").empty
    assert found(con, "mail-read-throttled").empty


def test_a_mailbox_read_until_the_log_gave_up(con):
    record(con, "2026-10-01 08:00", is_throttled=False)
    record(con, is_throttled=False)
    record(con, "2026-11-12 03:00", is_throttled=True)
    row = one(con, "mail-read-throttled")
    assert row["measure"] == 1
    assert row["reason"] == (
        "On 2026-11-12 03:00 UTC Exchange stopped logging single messages that the app read, which it does after a "
        "thousand in a day; it was so in 1 of 2 records, of ada@contoso.example, and in none before (the app is in the "
        "log since 2026-10-01)."
    )


@pytest.mark.parametrize("why", ["was so before", "not said", "another record", "before the period"])
def test_other_reading_is_silent(con, why: str):
    if why == "was so before":
        record(con, "2026-10-01 08:00", is_throttled=True)
    record(
        con,
        "2026-11-08 08:00" if why == "before the period" else "2026-11-12 02:00",
        operation="Send" if why == "another record" else "MailItemsAccessed",
        is_throttled=None if why == "not said" else True,
    )
    assert found(con, "mail-read-throttled").empty
