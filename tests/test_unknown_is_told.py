"""An operation, a member of an enumeration and a record of a shape that nobody knows: counted, shown, never fatal."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pytest
from importing import Desk, ndjson
from test_report import SITE

from appgov_lib.report.facts import gather
from appgov_lib.report.pages import index_page
from appgov_lib.store.build import build

AS_OF = date(2026, 11, 15)
APP = "7d0c0f4a-3a52-4a58-9a5d-0d1c5f7f2b11"


def audit(number: int, activity: str) -> dict[str, Any]:
    """A diagnostic record of the audit log about an app."""
    told = {
        "id": f"audit-{number}", "category": "ApplicationManagement", "activityDisplayName": activity,
        "activityDateTime": f"2026-11-1{number}T09:00:00Z", "result": "success",
        "initiatedBy": {"user": {"id": "u1", "userPrincipalName": "u1@x.example"}},
        "targetResources": [{"id": "sp-1", "type": "ServicePrincipal", "displayName": "Ledger Sync"}],
    }  # fmt: skip
    return {"time": told["activityDateTime"], "category": "AuditLogs", "operationName": activity, "properties": told}


def sign_in(number: int, **more: Any) -> dict[str, Any]:
    """A diagnostic record of a sign-in of an app."""
    told = {
        "id": f"sign-in-{number}", "createdDateTime": f"2026-11-1{number}T08:00:00Z", "appId": APP,
        "servicePrincipalId": "sp-1", "status": {"errorCode": 0}, "ipAddress": "198.51.100.7",
    }  # fmt: skip
    return {"time": told["createdDateTime"], "category": "ServicePrincipalSignInLogs", "properties": told | more}


RECORDS = [
    audit(1, "Add service principal"),
    audit(2, "Entangle service principal"),
    audit(3, "Entangle service principal"),
    sign_in(1),
    sign_in(2, riskLevelDuringSignIn="celestial", conditionalAccessStatus="pondering"),
    {"kind": "nobody has seen this", "payload": [1, 2]},
]


@pytest.fixture(scope="module")
def con(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    """The warehouse of a tenant of which one imported file is all there is."""
    desk = Desk(tmp_path_factory.mktemp("unknown"))
    imported = desk.one("logs.ndjson", ndjson(RECORDS))
    assert (imported.rows, imported.rejected_rows) == (5, 1)
    with duckdb.connect(str(build(desk.settings, AS_OF).path), read_only=True) as made:
        yield made


@pytest.mark.parametrize(
    ("what", "row"),
    {
        "operation": ("stg_directory_audits", "activity", "Entangle service principal", 2),
        "enum member": ("stg_sign_ins", "conditional_access_status", "pondering", 1),
        "log shape": ("rejected_records", "reason", "unknown shape", 1),
    }.items(),
)
def test_what_nobody_knows_is_counted_and_shown(
    con: duckdb.DuckDBPyConnection, what: str, row: tuple[str, str, str, int]
) -> None:
    query = "SELECT source, column_name, value, records FROM unrecognised_values WHERE value = $value"
    assert con.execute(query, {"value": row[2]}).fetchall() == [row], what
    page = index_page(gather(con, AS_OF, 7), SITE, [], [])
    assert page.index("Values no rule knows: ") < page.index(row[2])


def test_nothing_is_dropped_but_what_has_no_known_shape(con: duckdb.DuckDBPyConnection) -> None:
    told = {table: con.sql(f"SELECT count(*) FROM {table}").fetchall()[0][0] for table in ("stg_directory_audits",
            "stg_sign_ins", "rejected_records")}  # fmt: skip
    assert told == {"stg_directory_audits": 3, "stg_sign_ins": 2, "rejected_records": 1}


def test_no_rule_fails_at_them(con: duckdb.DuckDBPyConnection) -> None:
    assert con.sql("SELECT policy_id FROM skipped_checks WHERE code = 'rule_failed'").fetchall() == []


def test_the_notebook_shows_them() -> None:
    notebook = json.loads((Path(__file__).parents[1] / "notebooks" / "01_inventory.ipynb").read_text(encoding="utf-8"))
    assert any("FROM unrecognised_values" in "".join(cell["source"]) for cell in notebook["cells"])
