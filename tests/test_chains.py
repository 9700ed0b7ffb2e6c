"""Chains: which findings belong together, in which order they are told, and what the logs add to the story."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import duckdb
import pytest
from tables import load_table

from appgov_lib.detect.chains import CHAIN_TABLES, write_chains
from appgov_lib.store.warehouse import connect

AS_OF = dt.date(2026, 11, 15)
TABLES = {
    "app_events": "app_id | happened_at TIMESTAMP | event | detail | actor_name",
    "stg_sign_ins": "app_id | created_at TIMESTAMP | error_code INTEGER | country | ip_address",
    "data_transfer_daily": (
        "app_id | day DATE | service | resource_type | access | calls BIGINT | bytes_returned BIGINT"
    ),
    "app_items_daily": "app_id | day DATE | kind | access | events BIGINT | items BIGINT",
    "anomalies": "app_id | day DATE | metric | is_anomaly BOOLEAN | reason",
}


@pytest.fixture
def con() -> duckdb.DuckDBPyConnection:
    """Empty tables of what a chain is made of."""
    con = duckdb.connect()
    con.execute(
        "CREATE TABLE findings (finding_id VARCHAR, policy_id VARCHAR, policy_title VARCHAR, app_id VARCHAR, "
        "service_principal_id VARCHAR, display_name VARCHAR, severity VARCHAR, state VARCHAR, reason VARCHAR, "
        "evidence JSON)"
    )
    for name, columns in TABLES.items():
        load_table(con, name, columns)
    return con


def finding(con: duckdb.DuckDBPyConnection, policy: str, moment: str | None, app: str = "a1", **more: Any) -> None:
    """One finding about an app, told at a moment by its evidence."""
    row = {
        "finding_id": f"{policy}-{app}", "policy_id": policy, "policy_title": policy.capitalize(), "app_id": app,
        "service_principal_id": f"sp-{app}", "display_name": f"App {app}", "severity": "medium", "state": "new",
        "reason": f"Because of {policy}.", "evidence": {} if moment is None else {"first_at": moment},
    } | more  # fmt: skip
    con.execute("INSERT INTO findings BY NAME SELECT " + ", ".join(f"${k} AS {k}" for k in row),
                row | {"evidence": json.dumps(row["evidence"])})  # fmt: skip


def chains(con: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    """The chains as rows."""
    write_chains(con, AS_OF)
    return [dict(zip(CHAIN_TABLES["chains"][1], row, strict=True)) for row in con.execute("FROM chains").fetchall()]


def test_findings_of_two_moments_are_told_with_what_happened_around_them(con: duckdb.DuckDBPyConnection) -> None:
    finding(con, "credential", "2026-11-10 09:00", evidence={"first_at": "2026-11-10 09:00", "actor_name": "Ada"})
    finding(con, "network", "2026-11-11 22:00", severity="high")
    finding(con, "standing", None, severity="low")
    load_table(con, "app_events", TABLES["app_events"] + """
        a1 | 2026-11-10 09:00:00 | credential added | secret x | Ada
        a1 | 2026-11-10 09:30:00 | used | - | -
        a1 | 2026-11-08 09:00:00 | owner added | Bob | Ada
        a1 | 2026-11-11 22:00:00 | new country | MD | -
        a2 | 2026-11-11 22:00:00 | new country | FR | -
    """)  # fmt: skip
    load_table(con, "stg_sign_ins", TABLES["stg_sign_ins"] + """
        a1 | 2026-11-11 22:00:00 | 0 | MD | 192.0.2.1
        a1 | 2026-11-11 23:00:00 | 50126 | RU | 192.0.2.9
        a1 | 2026-11-09 22:00:00 | 0 | NL | 198.51.100.1
    """)  # fmt: skip
    load_table(con, "data_transfer_daily", TABLES["data_transfer_daily"] + """
        a1 | 2026-11-11 | Exchange | messages | read | 40 | 1500000
        a1 | 2026-11-12 | Exchange | messages | read | 2 | -
        a1 | 2026-11-09 | Exchange | messages | read | 9 | 9
    """)  # fmt: skip
    load_table(con, "app_items_daily", TABLES["app_items_daily"] + "\n a1 | 2026-11-12 | mail | read | 3 | 812")
    load_table(con, "anomalies", TABLES["anomalies"] + "\n a1 | 2026-11-12 | api_calls | true | Five times as many.")
    (chain,) = chains(con)
    assert (chain["chain_id"], chain["about"], chain["name"]) == ("sp-a1", "app", "App a1")
    assert (chain["severity"], chain["findings"], chain["actors"], chain["steps"]) == ("high", 3, ["Ada"], 8)
    assert chain["finding_ids"] == ["network-a1", "credential-a1", "standing-a1"]
    assert chain["story"] == (
        "2026-11-10 09:00: Credential added by Ada: secret x. 2026-11-10 09:00: Credential (medium). "
        "2026-11-11 22:00: Network (high). 2026-11-11 22:00: New country: MD. "
        "2026-11-11 22:00: Signed in 1 time from 192.0.2.1 (MD). "
        "2026-11-11: Read from Exchange (messages) in 42 calls, 1.5 MB received. "
        "2026-11-12: Unlike before on 1 day (api calls): Five times as many. "
        "2026-11-12: Read mail: 812 items in 3 records of the log."
    )
    last = con.execute("SELECT title, words FROM chain_steps WHERE place = 9").fetchall()
    assert last == [("Standing", "Because of standing.")]  # of no time: beside the story, not in it


@pytest.mark.parametrize(
    "second",
    [
        {"moment": "2026-11-10 09:00"},
        {"moment": "2026-10-16 23:59"},
        {"moment": "2026-11-16 00:00"},
        {"moment": None},
        {"moment": "2026-11-11", "state": "resolved"},
        {"moment": "2026-11-11", "state": "excepted"},
        {"moment": "2026-11-11", "app": "a2"},
    ],
    ids=["the same moment", "too old", "later", "no time", "resolved", "accepted", "another app"],
)
def test_other_findings_do_not_belong_together(con: duckdb.DuckDBPyConnection, second: dict[str, Any]) -> None:
    finding(con, "one", "2026-11-10 09:00")
    finding(con, "two", **second)
    assert chains(con) == []


def test_what_is_older_than_the_chain_is_no_moment_of_it(con: duckdb.DuckDBPyConnection) -> None:
    finding(con, "one", "2026-11-10 09:00")
    finding(con, "two", None, evidence={"created_at": "2023-01-16", "reached_at": "2026-11-11 09:17"})
    finding(con, "three", None, evidence={"created_at": "2023-01-16"})
    (chain,) = chains(con)
    assert chain["begins_at"] == dt.datetime(2026, 11, 10, 9)
    assert chain["story"] == "2026-11-10 09:00: One (medium). 2026-11-11 09:17: Two (medium)."


def test_small_things_make_no_chain(con: duckdb.DuckDBPyConnection) -> None:
    for number in (10, 11):
        finding(con, f"p{number}", f"2026-11-{number}", severity="low", app="a1")
        finding(con, f"q{number}", f"2026-11-{number}", severity="low", app="a2",
                evidence={"first_at": f"2026-11-{number}", "actor_name": "Ada"})  # fmt: skip
    assert chains(con) == []


def test_one_actor_across_apps(con: duckdb.DuckDBPyConnection) -> None:
    for app, day in (("a1", "10"), ("a2", "11")):
        evidence = {"added_at": f"2026-11-{day} 08:00", "actors": ["Ada", "Bob"]}
        finding(con, "credential", None, app=app, evidence=evidence)
    (chain,) = chains(con)
    assert (chain["chain_id"], chain["about"], chain["name"], chain["apps"]) == ("actor Ada", "actor", "Ada", 2)
    assert chain["story"] == (
        "2026-11-10 08:00, App a1: Because of credential. 2026-11-11 08:00, App a2: Because of credential."
    )


def test_a_long_story_says_what_is_left_out(con: duckdb.DuckDBPyConnection) -> None:
    for number in range(1, 15):
        finding(con, f"p{number:02}", f"2026-11-{number:02}")
    (chain,) = chains(con)
    assert chain["steps"] == 14
    assert chain["story"].endswith("2026-11-12 00:00: P12 (medium). 2 more steps follow.")


def test_the_planted_sequence_is_told_as_one_story(sample_home: Path) -> None:
    with connect("sample", sample_home) as con:
        rows = con.sql("SELECT name, severity, story FROM chains WHERE about = 'app'").fetchall()
    told = {name: (severity, story) for name, severity, story in rows}
    assert sorted(told) == ["DocuViewer Pro 365", "Legacy Invoice Archiver", "Mailbox Provisioning Runbook"]
    severity, story = told["Legacy Invoice Archiver"]
    assert severity == "critical"
    places = [story.index(word) for word in ("Credential added by", "Signed in", "Read from Exchange (messages)")]
    assert places == sorted(places)
