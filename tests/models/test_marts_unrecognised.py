"""Values that no rule and no list names are counted, and nothing else is."""

from __future__ import annotations

import csv
from datetime import datetime
from typing import Any

import pytest
from conftest import Bench

from appgov_lib.store.models import REFERENCE_DIR, needed_models

LOGS = ("stg_office_activity", "stg_cloud_app_events", "stg_security_alerts", "stg_incidents")
STATE = (
    "stg_risky_service_principals",
    "stg_service_principal_risk_detections",
    "stg_service_principals",
    "stg_delegated_grants",
    "stg_oauth_app_info",
)


def put(bench: Bench, table: str, **values: Any) -> None:
    """Add a row to a table; what is not named is NULL."""
    names, marks = ", ".join(values), ", ".join("?" for _ in values)
    bench.con.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", list(values.values()))


@pytest.fixture
def ready(bench: Bench) -> Bench:
    """Every table the model reads, empty."""
    for model in needed_models(["stg_sign_ins", "stg_directory_audits", *LOGS, *STATE]):
        bench.empty(model.name)
    bench.table("api_calls_daily", "method | day DATE | calls BIGINT")
    bench.table("rejected_records", "file | line BIGINT | reason | snapshot_id")
    return bench


def found(bench: Bench) -> list[tuple[Any, ...]]:
    """The rows without their times."""
    return [tuple(row.values())[:4] for row in bench.run("unrecognised_values")]


def test_known_values_and_no_values_are_not_listed(ready: Bench) -> None:
    put(ready, "stg_sign_ins", sign_in_type="interactive", error_code=0, risk_level="none", risk_state="atRisk")
    put(ready, "stg_directory_audits", activity="Consent to application", category="ApplicationManagement",
        result="success", actor_type="user")  # fmt: skip
    put(ready, "stg_directory_audits", activity="Frobnicate user", category="UserManagement", target_type="User")
    put(ready, "stg_office_activity", operation="MailItemsAccessed")
    put(ready, "stg_office_activity", operation="New-InboxRule")
    put(ready, "stg_security_alerts", severity="high", status="new", service_source="microsoftAppGovernance")
    put(ready, "stg_service_principals", service_principal_type="Application", sign_in_audience="AzureADMyOrg")
    ready.con.execute("INSERT INTO api_calls_daily VALUES ('GET', '2026-11-10', 5)")
    assert found(ready) == []


def test_unknown_values_are_counted_with_their_times(ready: Bench) -> None:
    for day, code in ((3, 99), (9, 99), (5, 0)):
        put(ready, "stg_sign_ins", error_code=code, created_at=datetime(2026, 11, day), sign_in_type="telepathic")
    rows = ready.run("unrecognised_values")
    assert [tuple(row.values()) for row in rows] == [
        ("stg_sign_ins", "error_code", "99", 2, datetime(2026, 11, 3), datetime(2026, 11, 9)),
        ("stg_sign_ins", "sign_in_type", "telepathic", 3, datetime(2026, 11, 3), datetime(2026, 11, 9)),
    ]


def test_every_table_is_looked_at(ready: Bench) -> None:
    new = "unknownFutureValue"
    put(ready, "stg_sign_ins", risk_level=new, credential_type=new, conditional_access_status=new)
    put(ready, "stg_directory_audits", activity="Frobnicate app", target_type="Application")
    put(ready, "stg_directory_audits", activity="Frobnicate", category="ApplicationManagement", result="maybe")
    put(ready, "stg_office_activity", operation="Frobnicated")
    put(ready, "stg_cloud_app_events", account_type=new)
    put(ready, "stg_security_alerts", service_source="somethingNew", severity="grave", detection_source=new)
    put(ready, "stg_incidents", status=new)
    put(ready, "stg_risky_service_principals", risk_state=new)
    put(ready, "stg_service_principal_risk_detections", risk_event_type=new)
    put(ready, "stg_service_principals", sign_in_audience=new)
    put(ready, "stg_delegated_grants", consent_type=new)
    put(ready, "stg_oauth_app_info", app_status=new)
    ready.con.execute("INSERT INTO api_calls_daily VALUES ('QUERY', '2026-11-10', 5)")
    ready.con.execute("INSERT INTO rejected_records VALUES ('a.json', 1, 'of no known shape', 's1')")
    for count in (40, 2):
        rest = f"{count} more records were refused and are not listed"
        ready.con.execute("INSERT INTO rejected_records VALUES ('a.json', NULL, ?, 's1')", [rest])
    assert found(ready) == [
        ("api_calls_daily", "method", "QUERY", 5),
        ("rejected_records", "reason", "more records were refused and are not listed", 42),
        ("rejected_records", "reason", "of no known shape", 1),
        ("stg_cloud_app_events", "account_type", new, 1),
        ("stg_delegated_grants", "consent_type", new, 1),
        ("stg_directory_audits", "activity", "Frobnicate", 1),
        ("stg_directory_audits", "activity", "Frobnicate app", 1),
        ("stg_directory_audits", "result", "maybe", 1),
        ("stg_incidents", "status", new, 1),
        ("stg_oauth_app_info", "app_status", new, 1),
        ("stg_office_activity", "operation", "Frobnicated", 1),
        ("stg_risky_service_principals", "risk_state", new, 1),
        ("stg_security_alerts", "detection_source", new, 1),
        ("stg_security_alerts", "service_source", "somethingNew", 1),
        ("stg_security_alerts", "severity", "grave", 1),
        ("stg_service_principal_risk_detections", "risk_event_type", new, 1),
        ("stg_service_principals", "sign_in_audience", new, 1),
        ("stg_sign_ins", "conditional_access_status", new, 1),
        ("stg_sign_ins", "credential_type", new, 1),
        ("stg_sign_ins", "risk_level", new, 1),
    ]


def test_the_list_names_columns_that_exist(ready: Bench) -> None:
    with (REFERENCE_DIR / "known_values.csv").open(encoding="utf-8", newline="") as handle:
        rows = [(row["table"], row["column"], row["value"]) for row in csv.DictReader(handle)]
    assert len(rows) == len(set(rows))
    columns = {f"{name}.{column}" for name, model in ready.models.items() for column in model.columns}
    assert {f"{table}.{column}" for table, column, _ in rows} - columns == set()
