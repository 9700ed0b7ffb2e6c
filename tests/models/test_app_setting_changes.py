"""Addresses, identifiers and audience of apps that came or went: from two readings, from the audit log, once each."""

from __future__ import annotations

import json
from typing import Any

import pytest
from conftest import Bench

SP = "sp1"


@pytest.fixture
def told(bench: Bench) -> Any:
    """A function that runs the model on changed properties (name, old, new) and changes seen between readings."""

    def run(*properties: tuple[str, Any, Any], changes: str = "", activity: str = "Update application") -> Any:
        bench.table(
            "app_names_history",
            """object_id | object_kind            | service_principal_id | app_id | display_name
               reg1      | app registration       | sp1                  | a1     | Payroll
               sp1       | enterprise application | sp1                  | a1     | Payroll
               reg2      | app registration       | -                    | a2     | Never used here""",
        )
        bench.table(
            "changes",
            "service_principal_id | app_id | display_name | changed_at TIMESTAMP | seen_from TIMESTAMP | "
            "seen_at TIMESTAMP | actor_id | actor_name | source | kind | change | subject | before | after\n" + changes,
        )
        bench.con.execute(
            "CREATE OR REPLACE TABLE audit_targets_history (audit_id VARCHAR, activity_at TIMESTAMP, activity VARCHAR, "
            "actor_id VARCHAR, actor_name VARCHAR, target_ids VARCHAR[], "
            "properties STRUCT(name VARCHAR, old VARCHAR, new VARCHAR)[])"
        )
        for number, target in enumerate(("reg1", "sp1", "reg2")):
            bench.con.execute(
                "INSERT INTO audit_targets_history VALUES (?, ?, ?, 'u1', 'Ada', ?, ?)",
                [
                    f"e{number}",
                    f"2026-11-10 08:0{number}:00",
                    activity,
                    [target],
                    [{"name": name, "old": old, "new": new} for name, old, new in properties],
                ],
            )
        rows = bench.run("app_setting_changes")
        assert {row["service_principal_id"] for row in rows} <= {SP}
        return [(row["property"], row["change"], row["value"], row["source"]) for row in rows]

    return run


def addresses(*urls: str, kind: int = 0) -> str:
    """Reply addresses as the audit log writes them."""
    return json.dumps([{"AddressType": kind, "Address": url} for url in urls])


def test_one_change_logged_for_registration_and_service_principal_is_one_row(told: Any) -> None:
    old, new = addresses("https://a.example", "https://b.example"), addresses("https://b.example", "https://c.example")
    assert told(("AppAddress", old, new)) == [
        ("reply address", "added", "https://c.example", "audit log"),
        ("reply address", "removed", "https://a.example", "audit log"),
    ]


def test_addresses_of_another_kind_are_not_reply_addresses(told: Any) -> None:
    assert told(("AppAddress", "[]", addresses("https://bye.example", kind=2))) == []


@pytest.mark.parametrize(
    ("name", "old", "new", "expected"),
    [
        ("AppIdentifierUri", "[]", '["api://payroll"]', [("identifier URI", "added", "api://payroll", "audit log")]),
        ("AppIdentifierUri", "https://x", "https://x", []),
        ("LogoutUrl", "https://x/out", "", [("sign-out address", "removed", "https://x/out", "audit log")]),
        ("AvailableToOtherTenants", "[false]", "[true]", [("open to other tenants", "added", "true", "audit log")]),
        ("AvailableToOtherTenants", "[true]", "[false]", []),
        ("AppLogoUrl", None, "https://x/logo.png", []),
        ("AppAddress", "[", None, [("reply address", "removed", "[", "audit log")]),
    ],
)
def test_values_come_in_several_forms(told: Any, name: str, old: Any, new: Any, expected: Any) -> None:
    assert told((name, old, new)) == expected


def test_the_addresses_of_a_new_app_are_no_change(told: Any) -> None:
    assert told(("AppAddress", "[]", addresses("https://a.example")), activity="Add application") == []


def test_what_two_readings_show_is_not_told_again_by_the_log(told: Any) -> None:
    change = (
        "sp1 | a1 | Payroll | 2026-11-10 08:00:00 | 2026-11-08 | 2026-11-15 | u1 | Ada | both | reply_url | added | "
        "https://c.example | - | https://c.example\n"
        "sp1 | a1 | Payroll | 2026-11-15 | 2026-11-08 | 2026-11-15 | - | - | snapshot | property | changed | "
        "sign-in audience | AzureADMyOrg | AzureADMultipleOrgs\n"
        "sp1 | a1 | Payroll | 2026-11-15 | 2026-11-08 | 2026-11-15 | - | - | snapshot | property | changed | "
        "sign-in audience | AzureADMultipleOrgs | AzureADMyOrg"
    )
    both = ("AppAddress", "[]", addresses("https://c.example", "https://d.example"))
    assert told(both, changes=change) == [
        ("reply address", "added", "https://c.example", "both"),
        ("reply address", "added", "https://d.example", "audit log"),
        ("open to other tenants", "added", "true", "snapshot"),
    ]
