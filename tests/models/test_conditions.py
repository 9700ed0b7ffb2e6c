"""The conditions of policies: each has its column, unknown stays unknown, and a rule may combine them."""

from __future__ import annotations

import csv
from datetime import date, timedelta
from typing import Any

import pytest
from conftest import AS_OF, Bench

from appgov_lib.detect.policy import Policy
from appgov_lib.detect.run import evaluate
from appgov_lib.detect.templates import TEMPLATES
from appgov_lib.store.models import REFERENCE_DIR, load_models

GRAPH = "00000003-0000-0000-c000-000000000000"
INVENTORY = """
    service_principal_id | app_id | display_name | is_in_scope BOOLEAN | registered_at TIMESTAMP \
| created_at TIMESTAMP | risk_score INTEGER | certification | publisher_verified BOOLEAN | privilege_level \
| permission_usage | other_api_access BOOLEAN | sensitivity_label_ids VARCHAR[] | services VARCHAR[] \
| days_since_last_use BIGINT | last_used_at TIMESTAMP | app_origin | credential_unused_since TIMESTAMP \
| next_expiry_at TIMESTAMP \
| expired_credential_count BIGINT
    s1 | a1 | One | true | 2026-11-10 | 2026-11-11 | 80 | - | false | high | some_unused | true | - | [Exchange] | 2 \
| 2026-11-13 | external | 2026-10-16 | 2026-11-20 | 1
    s2 | a2 | Two | true | - | 2026-01-01 | 5 | none | true | low | all_used | false | - | - | - \
| - | internal | - | - | 0
"""
DAYS = """
    app_id | day DATE | service | calls BIGINT | errors BIGINT | bytes_returned BIGINT
    a1 | 2026-11-15 | Exchange | 20 | 4 | 300
    a1 | 2026-11-15 | Teams | 10 | 0 | -
    a1 | 2026-11-14 | Exchange | 10 | 0 | 100
    a1 | 2026-11-01 | Exchange | 99 | 9 | 900
    a1 | 2026-09-01 | Exchange | 999 | 9 | 99999
"""
HISTORY = """
    service_principal_id | permission_type | principal_id | valid_from TIMESTAMP | valid_to TIMESTAMP
    s1 | delegated | u1 | - | -
    s1 | delegated | u2 | 2026-11-01 | -
    s1 | delegated | u3 | - | 2026-09-01
    s1 | application | - | - | -
"""
STATES = (
    "delegated_grants",
    "app_role_assignments",
    "directory_role_assignments",
    "service_principal_sign_in_activities",
)


def covered(source: str, days: int) -> str:
    """Lines of covered_days up to the as-of date."""
    return "\n".join(f"{source} | {AS_OF - timedelta(days=n)} | true" for n in range(days))


def conditions(
    bench: Bench, calls_read: int = 30, audits_read: int = 90, unread: str = "", read_at: date = AS_OF
) -> dict[str, dict[str, Any]]:
    """app_conditions of two apps by service principal."""
    bench.table("app_inventory", INVENTORY)
    bench.table("app_activity_daily", DAYS)
    bench.table("grant_history", HISTORY)
    bench.table("stg_service_principals", f"service_principal_id | app_id\n graph | {GRAPH}\n api | other")
    bench.table("app_permissions", """
        service_principal_id | resource_id | permission | permission_type
        s1 | graph | Mail.Send | application
        s1 | graph | Mail.Read | application
        s1 | graph | User.Read | delegated
        s1 | api | Orders.Read | application
    """)  # fmt: skip
    bench.table("stg_delegated_grants", """
        service_principal_id | consent_type | principal_id
        s1 | Principal | u1
        s1 | Principal | u2
        s1 | Principal | u2
        s1 | AllPrincipals | -
    """)  # fmt: skip
    bench.table("stg_users", "user_id | user_principal_name\n u1 | ceo@x.test")
    bench.table(
        "stg_directory_role_assignments", "principal_id | role_name | role_definition_id\n u1 | Global Reader | r"
    )
    days = [covered("api_activity", calls_read), covered("directory_audits", audits_read)]
    bench.table("covered_days", "source | day DATE | is_complete BOOLEAN\n" + "\n".join(days))
    bench.table("source_readings", f"source | read_at TIMESTAMP\n delegated_grants | {read_at}")
    lines = [f"{name} | {'failed' if name == unread else 'complete'}" for name in STATES]
    bench.table("coverage", "source | status\n" + "\n".join(lines))
    for name in ("condition_days", "condition_users"):
        bench.run(name)
    return {row["service_principal_id"]: row for row in bench.run("app_conditions")}


def test_every_condition_of_one_app(bench: Bench) -> None:
    found = conditions(bench)["s1"]
    assert found == found | {
        "days_since_registration": 5,
        "risk_score": 80,
        "certification": None,
        "publisher_verified": False,
        "application_permissions": ["Mail.Read", "Mail.Send"],
        "delegated_permissions": ["User.Read"],
        "is_highly_privileged": True,
        "is_overprivileged": True,
        "non_graph_permissions": True,
        "max_bytes_per_day_30d": 900,
        "bytes_trend_percent_day": 200.0,
        "max_calls_per_day_30d": 99,
        "calls_last_day": 30,
        "call_trend_percent": 200.0,
        "consenting_users": 2,
        "consenting_users_90d_ago": 2,  # u1 and u3
        "consenting_users_increase_90d": 0.0,
        "consenting_user_names": ["ceo@x.test", "u2"],
        "consenting_user_roles": ["Global Reader"],
        "services_accessed": ["Exchange"],
        "error_rate_7d": 10.0,  # 4 of 40
        "days_since_last_use": 2,
        "days_unused": 2,
        "credential_unused_days": 30,
        "days_to_next_expiry": 5,
    }


def test_an_app_without_calls_made_none_on_the_days_that_were_read(bench: Bench) -> None:
    found = conditions(bench)["s2"]
    assert (found["max_calls_per_day_30d"], found["calls_last_day"], found["services_accessed"]) == (0, 0, [])
    assert (found["error_rate_7d"], found["call_trend_percent"]) == (None, None)
    assert found["days_unused"] == 318, "never seen: since it was created"
    assert (found["is_overprivileged"], found["is_highly_privileged"]) == (False, False)


def test_what_was_not_read_is_unknown(bench: Bench) -> None:
    found = conditions(bench, calls_read=0, audits_read=89)["s2"]
    unknown = (
        "max_bytes_per_day_30d", "max_calls_per_day_30d", "calls_last_day", "services_accessed", "error_rate_7d",
        "consenting_users_90d_ago", "consenting_users_increase_90d",
    )  # fmt: skip
    assert {name: found[name] for name in unknown} == dict.fromkeys(unknown)
    old = conditions(bench, audits_read=0, read_at=AS_OF - timedelta(days=89))["s1"]
    assert old["consenting_users_90d_ago"] == 2, "a reading that old knows it as well"


@pytest.mark.parametrize(
    ("unread", "unknown"),
    [
        (
            "delegated_grants",
            ["delegated_permissions", "consenting_users", "consenting_user_names", "consenting_user_roles"],
        ),
        ("app_role_assignments", ["application_permissions", "is_highly_privileged", "non_graph_permissions"]),
        ("directory_role_assignments", ["consenting_user_roles", "is_highly_privileged"]),
        ("service_principal_sign_in_activities", ["days_unused"]),
    ],
)
def test_a_source_that_failed_leaves_its_conditions_unknown(bench: Bench, unread: str, unknown: list[str]) -> None:
    found = conditions(bench, unread=unread)["s2"]
    assert {name: found[name] for name in unknown} == dict.fromkeys(unknown)


# ---- the list of conditions ----


def listed() -> list[dict[str, str]]:
    """The conditions by number."""
    with (REFERENCE_DIR / "policy_conditions.csv").open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


def test_every_condition_has_a_column_that_exists_or_a_reason() -> None:
    assert [row["condition_id"] for row in listed()] == [f"POL-C{n}" for n in range(1, 27)]
    columns = {f"{model.name}.{column}" for model in load_models() for column in model.columns}
    for row in listed():
        assert set(row["columns"].split()) <= columns
        assert row["columns"] or row["note"].startswith("cannot be known:")
        # a quoted comma survives the file, an unquoted one would cut the line
        assert None not in row


@pytest.mark.parametrize("row", listed(), ids=lambda row: row["condition_id"])
def test_every_example_runs(bench: Bench, row: dict[str, str]) -> None:
    conditions(bench)
    bench.rows(f"SELECT * FROM app_conditions WHERE {row['expression']}")


def rule(where: str) -> Policy:
    """A policy on app_conditions."""
    sql = f"""SELECT service_principal_id, app_id, display_name AS app_display_name, '' AS subject,
        risk_score AS measure, $points AS threshold, 'Because.' AS reason, json_object('a', 1) AS evidence
        FROM app_conditions WHERE {where}"""
    return Policy("own", "Own", "low", "low", "active", sql, "", "own.sql", built_in=False, thresholds={"points": 3})


@pytest.mark.parametrize(
    ("where", "apps"),
    [
        ("risk_score > $points AND (is_overprivileged OR app_origin = 'internal')", ["a1", "a2"]),
        ("risk_score > $points AND NOT is_overprivileged", ["a2"]),
        ("risk_score > $points AND app_id NOT IN ('a2')", ["a1"]),
        ("list_has_any(services_accessed, ['Exchange']) OR days_to_next_expiry < $points", ["a1"]),
        ("certification = 'none' AND NOT (publisher_verified AND risk_score > 50)", ["a2"]),
    ],
)
def test_a_rule_combines_conditions_and_a_list_of_exceptions(bench: Bench, where: str, apps: list[str]) -> None:
    conditions(bench)
    assert sorted(evaluate(bench.con, rule(where), AS_OF, 7)["app_id"]) == apps


def test_templates_judge_columns_that_exist() -> None:
    (model,) = [model for model in load_models() if model.name == "app_conditions"]
    assert {template.measure for template in TEMPLATES.values()} <= model.columns.keys()
    assert list(TEMPLATES) == [f"T{n}" for n in range(1, 11)]


def test_the_table_has_the_columns_of_the_catalogue(bench: Bench) -> None:
    conditions(bench)
    for name in ("condition_days", "condition_users", "app_conditions"):
        found = [row["column_name"] for row in bench.rows(f"DESCRIBE {name}")]
        assert found == list(bench.models[name].columns)
