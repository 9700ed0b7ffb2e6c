"""The small warehouse of `state_tables`, with people, their sign-ins and a command-line program of Microsoft's."""

from __future__ import annotations

import duckdb
import pytest
from policy_tables import APP, SP, cover, found
from state_tables import put, state_warehouse

from appgov_lib.errors import UserError

POWERSHELL = "14d82eec-204b-4c2f-b7e8-296a70dab67e"
GRAPH = "00000003-0000-0000-c000-000000000000"


def people_warehouse() -> duckdb.DuckDBPyConnection:
    """A warehouse with one app of the tenant and one command-line program of Microsoft's."""
    con = state_warehouse()
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


def signed_in(con: duckdb.DuckDBPyConnection, at: str, user: str = "u1", **more: object) -> None:
    """A person's sign-in to the app."""
    row = {"app_id": APP, "sign_in_type": "interactive", "error_code": 0, "country": "DE", "city": "Bonn"}
    who = {"user_id": user, "user_principal_name": f"{user}@x.example", "ip_address": "198.51.100.7"}
    put(con, "stg_sign_ins", created_at=f"2026-{at}", **{**row, **who, **more})
