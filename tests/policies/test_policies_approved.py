"""The policy approved-set-changed: every deviation from what was approved, and nothing about other apps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pytest
from policy_tables import APP, AS_OF, GRAPH, SP, add, cover, empty_warehouse, found

from appgov_lib.detect.coverage import SkipReason
from appgov_lib.detect.run import run
from appgov_lib.errors import UserError
from appgov_lib.settings import Settings

POLICY = "approved-set-changed"
OTHER = "00000000-0000-4000-8000-00000000000b"
APPROVED = {
    "permission": f"delegated User.Read {GRAPH}",
    "owner": "o1",
    "credential": "secret k1",
    "reply_url": "https://a.test/in",
    "publisher": "Contoso, verified",
}


@pytest.fixture
def con() -> duckdb.DuckDBPyConnection:
    """An app exactly as it was approved."""
    con = empty_warehouse()
    add(con, "app_inventory", publisher_name="Contoso", reply_urls=["https://a.test/in"])
    add(con, "app_permissions")
    add(con, "app_owners", service_principal_id=SP, owner_id="o1", owner_name="Ada")
    add(con, "app_credentials")
    for kind, value in APPROVED.items():
        approve(con, kind, value)
    return con


def approve(con: duckdb.DuckDBPyConnection, kind: str, value: str | None, on: str = "2026-11-01") -> None:
    """One line of a baseline."""
    add(con, "approved_baselines", app_id=APP, kind=kind, value=value, approved_by="Eve", approved_on=on, reason="r")


def subjects(con: duckdb.DuckDBPyConnection) -> list[str]:
    """What the policy is about, in order."""
    return list(found(con, POLICY)["subject"])


def test_an_app_as_it_was_approved_is_silent(con: duckdb.DuckDBPyConnection) -> None:
    assert subjects(con) == []


@pytest.mark.parametrize(
    ("table", "values", "subject"),
    [
        ("app_permissions", {"permission": "Mail.Read"}, f"added permission delegated Mail.Read {GRAPH}"),
        ("app_owners", {"service_principal_id": SP, "owner_id": "o2"}, "added owner o2"),
        ("app_credentials", {"key_id": "k2"}, "added credential secret k2"),
    ],
)
def test_what_came_is_found(con: duckdb.DuckDBPyConnection, table: str, values: dict[str, Any], subject: str) -> None:
    add(con, table, **values)
    assert subjects(con) == [subject]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("DELETE FROM app_permissions", [f"removed permission delegated User.Read {GRAPH}"]),
        ("DELETE FROM app_owners", ["removed owner o1"]),
        ("DELETE FROM app_credentials", ["removed credential secret k1"]),
        (
            "UPDATE app_inventory SET reply_urls = ['https://b.test/in']",
            ["added reply_url https://b.test/in", "removed reply_url https://a.test/in"],
        ),
        (
            "UPDATE app_inventory SET publisher_verified = false",
            ["added publisher Contoso", "removed publisher Contoso, verified"],
        ),
    ],
)
def test_what_went_or_became_another_is_found(con: duckdb.DuckDBPyConnection, change: str, expected: list[str]) -> None:
    con.execute(change)
    assert subjects(con) == expected


def test_the_reason_names_who_when_and_what(con: duckdb.DuckDBPyConnection) -> None:
    add(con, "app_permissions", permission="Mail.Read", permission_type="application")
    (row,) = found(con, POLICY).to_dict("records")
    assert row["reason"] == (
        "Since Eve approved the app on 2026-11-01, application permission Mail.Read of Microsoft Graph came."
    )
    assert (row["measure"], row["threshold"]) == (1.0, 0.0)


def test_nothing_approved_of_a_kind_means_anything_of_it_is_new(con: duckdb.DuckDBPyConnection) -> None:
    con.execute("UPDATE approved_baselines SET value = NULL WHERE kind = 'owner'")
    assert subjects(con) == ["added owner o1"]


@pytest.mark.parametrize(
    "change",
    [
        "DELETE FROM approved_baselines",
        "UPDATE approved_baselines SET approved_on = DATE '2026-11-16'",
        "UPDATE approved_baselines SET app_id = 'another'",
    ],
)
def test_an_app_without_a_baseline_is_not_judged(con: duckdb.DuckDBPyConnection, change: str) -> None:
    add(con, "app_permissions", permission="Mail.Read")
    con.execute(change)
    assert subjects(con) == []


def test_owners_that_were_not_read_have_not_gone(con: duckdb.DuckDBPyConnection) -> None:
    con.execute("DELETE FROM app_owners")
    con.execute("UPDATE app_inventory SET owner_count = NULL")
    assert subjects(con) == []


def test_a_kind_that_was_not_known_then_is_not_judged(con: duckdb.DuckDBPyConnection) -> None:
    con.execute("DELETE FROM approved_baselines WHERE kind = 'owner'")
    add(con, "app_owners", service_principal_id=SP, owner_id="o2")
    assert subjects(con) == []


@pytest.mark.parametrize("source", ["service_principals", "applications", "delegated_grants", "app_role_assignments"])
def test_it_is_skipped_without_the_whole_of_its_sources(con: duckdb.DuckDBPyConnection, source: str) -> None:
    cover(con, source, "partial", "cut short")
    with pytest.raises(UserError, match="read only in part"):
        found(con, POLICY)


def test_a_run_reads_the_file_of_the_user(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    (tmp_path / "policies").mkdir()
    head = f'[[app]]\ntenant = "sample"\napp = "{APP.upper()}"\napproved_by = "Eve"\napproved_on = 2026-11-01\n'
    text = f'{head}reason = "Looked at"\nowners = []\n'
    (tmp_path / "policies" / "approved.toml").write_text(text, encoding="utf-8")
    result = run(con, settings, as_of=AS_OF)
    assert [f.subject for f in result.findings if f.policy_id == POLICY] == ["added owner o1"]
    assert con.execute("SELECT app_id, kind, value, reason FROM approved_baselines").fetchall() == [
        (APP, "owner", None, "Looked at")
    ]
    assert SkipReason.RULE_FAILED not in {skip.code for skip in result.skipped}
    other = run(con, Settings(home=tmp_path, tenant="another"), as_of=AS_OF)
    assert [f for f in other.findings if f.policy_id == POLICY] == []
