"""The policies about alerts that Microsoft raised: open ones are found by severity, a risk is not told twice."""

from __future__ import annotations

from typing import Any

import duckdb
import pytest
from policy_tables import APP, SP, cover, found, one
from state_tables import put, state_warehouse

from appgov_lib.errors import UserError

POLICIES = ("alert-by-microsoft", "high-alert-by-microsoft")


@pytest.fixture
def con() -> duckdb.DuckDBPyConnection:
    """An empty warehouse with one app."""
    made = state_warehouse()
    put(made, "app_inventory")
    return made


@pytest.mark.parametrize(
    ("alert", "told_by"),
    [
        ({"severity": "high", "level": 3}, "high-alert-by-microsoft"),
        ({}, "alert-by-microsoft"),
        ({"severity": "low", "level": 1}, "alert-by-microsoft"),
        ({"severity": "grave", "level": None}, "alert-by-microsoft"),
        ({"severity": None, "level": None, "title": None, "service_source": None}, "alert-by-microsoft"),
        ({"record_kind": "risk detection"}, "alert-by-microsoft"),
        ({"severity": "informational", "level": 0}, None),
        ({"is_open": False}, None),
        ({"is_told_as_risk": True}, None),
        ({"record_kind": "risk"}, None),
        ({"app_id": None}, None),
        ({"last_at": "2026-03-01"}, None),
        ({"first_at": "2026-11-16"}, None),  # after the period
        ({"first_at": None, "last_at": None}, "alert-by-microsoft"),
    ],
)
def test_open_alerts_by_severity(con, alert: dict[str, Any], told_by: str | None):
    put(con, "app_alerts", **alert)
    assert [policy for policy in POLICIES if len(found(con, policy)) == 1] == ([told_by] if told_by else [])


def test_the_sentence_and_the_links(con):
    put(con, "app_alerts")
    row = one(con, "alert-by-microsoft")
    assert (row["service_principal_id"], row["subject"], row["measure"]) == (SP, "a1", 2)
    assert row["reason"] == (
        'Microsoft raised the alert "Odd use" about the app on 2026-11-10, severity medium, by '
        "microsoftAppGovernance; it is not resolved."
    )
    assert row["evidence"]["alert_url"] == "https://security.microsoft.com/alerts/a1"


def test_microsofts_own_apps_raise_nothing(con):
    con.execute("UPDATE app_inventory SET is_in_scope = false")
    put(con, "app_alerts")
    put(con, "app_alerts", alert_id="a2", app_id="00000003-0000-0000-c000-000000000000", service_principal_id=None)
    assert found(con, "alert-by-microsoft").empty


def test_an_app_that_left_the_directory_is_named_by_its_id(con):
    con.execute("DELETE FROM app_inventory")
    put(con, "app_alerts", service_principal_id=None, display_name=None)
    row = one(con, "alert-by-microsoft")
    assert (row["service_principal_id"], row["app_display_name"]) == (APP, APP)


@pytest.mark.parametrize("policy", POLICIES)
def test_without_alerts_nothing_is_judged(con, policy: str):
    cover(con, "security_alerts", "not_licensed")
    with pytest.raises(UserError, match="Source security_alerts is not licensed"):
        found(con, policy)
