"""disabled-app-left: fires on what is off for long and still holds something, and on nothing else."""

from __future__ import annotations

from typing import Any

import duckdb
import pytest
from policy_tables import APP, add, cover, empty_warehouse, found, one

from appgov_lib.errors import UserError

OFF = {
    "account_enabled": False,
    "status": "disabled_by_user",
    "app_origin": "internal",
    "is_in_scope": True,
    "created_at": "2023-04-26",
    "last_used_at": "2025-10-11",
    "permission_count": 4,
    "credential_count": 1,
}


@pytest.fixture
def con() -> duckdb.DuckDBPyConnection:
    """An empty warehouse."""
    return empty_warehouse()


def test_a_disabled_app_that_is_still_there(con):
    add(con, "app_inventory", **OFF)
    row = one(con, "disabled-app-left")
    assert row["reason"] == (
        "The app is disabled, and was last used on 2025-10-11, 400 days ago (threshold 180); whoever enables it gets "
        "4 permissions and 1 credential."
    )
    assert (row["measure"], row["threshold"]) == (400, 180)


@pytest.mark.parametrize(
    "app",
    [
        {"account_enabled": True},
        {"account_enabled": None},
        {"app_origin": "external"},
        {"is_in_scope": False},
        {"last_used_at": "2026-09-01"},
        {"last_used_at": None, "created_at": "2026-09-01"},
        {"permission_count": 0, "credential_count": 0, "directory_roles": []},
        {"service_principal_type": "ManagedIdentity"},
    ],
)
def test_it_is_silent(con, app: dict[str, Any]):
    add(con, "app_inventory", **{**OFF, **app})
    assert found(con, "disabled-app-left").empty


def test_an_app_known_from_attacks_stays_blocked(con):
    add(con, "app_inventory", **OFF)
    con.execute("CREATE OR REPLACE TABLE ref_abused_apps AS SELECT ' ' || upper(?) AS app_id", [APP])
    assert found(con, "disabled-app-left").empty


def test_use_has_to_be_known_to_the_end(con):
    cover(con, "service_principal_sign_in_activities", "partial")
    with pytest.raises(UserError, match="service_principal_sign_in_activities is read only in part"):
        found(con, "disabled-app-left")
