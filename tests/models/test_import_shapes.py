"""Every imported shape ends in the same columns: records of our own, one of each kind, value by value."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from conftest import Bench
from importing import FIXTURES, Desk
from test_staging_state import ODD

APP = "7d0c0f4a-3a52-4a58-9a5d-0d1c5f7f2b11"
SERVICE_PRINCIPAL = "c5a8d3f2-6b1e-4a7d-8f90-1b2c3d4e5f60"
USER = "1f2e3d4c-5b6a-4978-8a9b-0c1d2e3f4a5b"
KEY = "9e8d7c6b-5a49-4838-a726-151403f2e1d0"
INES = "ines.moe@northwind-sample.example"
SHAPES = [
    "sign_ins_from_diagnostic",
    "sign_ins_from_log_analytics",
    "sign_ins_from_unified_audit",
    "directory_audits_from_diagnostic",
    "directory_audits_from_log_analytics",
    "directory_audits_from_unified_audit",
    "api_activity_from_diagnostic",
    "api_activity_from_log_analytics",
    "api_activity_from_hunting",
    "office_activity_from_log_analytics",
    "office_activity_from_unified_audit",
    "security_alerts_from_log_analytics",
]
Rows = Callable[..., dict[str, dict[str, Any]]]


def at(text: str) -> datetime:
    """A naive UTC time."""
    return datetime.fromisoformat(text)


def number(value: int) -> str:
    """Id of the nth fixture event."""
    return f"a0000000-0000-4000-8000-{value:012d}"


@pytest.fixture
def rows(bench: Bench, tmp_path: Path) -> Rows:
    """Import fixtures and run one shape: its rows by their first column."""

    def run(shape: str, *fixtures: str) -> dict[str, dict[str, Any]]:
        desk = Desk(tmp_path)
        desk.take(*[FIXTURES / name for name in fixtures])
        bucket = shape.replace("_from_", "_")
        bench.empty("stg_audit_records")
        bench.raw(bucket, [line.decode() for line in desk.lines(bucket)])
        return {str(next(iter(row.values()))): row for row in bench.run(shape)}

    return run


def shown(row: dict[str, Any], *names: str) -> tuple[Any, ...]:
    """Some columns of a row."""
    return tuple(row[name] for name in names)


@pytest.mark.parametrize("shape", SHAPES)
def test_no_odd_record_breaks_a_shape_and_none_is_lost(bench: Bench, shape: str) -> None:
    bench.empty("stg_audit_records")
    bench.raw(shape.replace("_from_", "_"), ODD)
    found = bench.run(shape)
    assert len(found) == len(ODD)
    assert all(next(iter(row.values())) for row in found)


@pytest.mark.parametrize("shape", SHAPES)
def test_odd_values_in_every_field_break_nothing(bench: Bench, shape: str) -> None:
    """Each field that the SQL names, once with every kind of value a field can hold."""
    bench.empty("stg_audit_records")
    values: list[Any] = [
        None,
        "",
        "x",
        0,
        -1,
        1.5,
        True,
        [],
        [1],
        ["x"],
        [{}],
        [[{"ID": 1}]],
        {},
        {"Type": {}},
        {"id": []},
        "[",
        "{",
    ]
    columns = bench.models[shape].path.read_text(encoding="utf-8")
    names = sorted(
        {word.strip('"$.') for word in columns.replace("'", " ").split() if word.strip('"$.').isidentifier()}
    )
    records: list[Any] = [dict.fromkeys(names, value) for value in values]
    records += [{"properties": dict.fromkeys(names, value)} for value in values]
    bench.raw(shape.replace("_from_", "_"), records)
    found = bench.run(shape)
    assert len(found) == len(records)


def test_sign_ins_from_diagnostic(rows: Rows) -> None:
    found = rows("sign_ins_from_diagnostic", "diagnostic.ndjson")
    assert sorted(found) == [number(n) for n in (1, 2, 3, 4)]
    first = found[number(1)]
    assert first["created_at"] == at("2026-11-02T08:02:10.765432")  # not the envelope's 08:14
    assert shown(first, "app_id", "app_name", "user_id", "user_principal_name") == (APP, "Ledger Sync", USER, INES)
    assert shown(first, "country", "city", "asn", "token_id", "risk_level") == ("NO", "Oslo", "64500", "tok-1", "low")
    assert [found[number(n)]["sign_in_type"] for n in (1, 2, 3, 4)] == [
        "interactive",
        "non_interactive",
        "service_principal",
        "managed_identity",
    ]
    assert [found[number(n)]["error_code"] for n in (1, 2, 3, 4)] == [0, 50076, 7000222, 0]
    assert [found[number(n)]["user_id"] for n in (1, 2, 3, 4)] == [USER, USER, None, None]
    third = found[number(3)]
    assert shown(third, "credential_key_id", "credential_type", "app_name") == (KEY, "clientSecret", "Ledger Sync")
    assert shown(found[number(4)], "ip_address", "country", "credential_type") == (None, None, None)


def test_sign_ins_from_log_analytics(rows: Rows) -> None:
    found = rows("sign_ins_from_log_analytics", "log_analytics.ndjson", "log_analytics_sign_ins.csv")
    assert sorted(found) == [number(n) for n in (11, 12, 21, 22)]
    assert found[number(11)]["created_at"] == at("2026-11-03T08:00:01.4321")
    assert found[number(21)]["created_at"] == at("2026-11-03T14:08:45.221")
    assert found[number(22)]["created_at"] == at("2026-11-03T00:00:00")
    assert [found[number(n)]["error_code"] for n in (11, 12, 21, 22)] == [50126, 0, 0, 16000]
    assert [found[number(n)]["country"] for n in (11, 12, 21, 22)] == ["NO"] * 4
    assert found[number(11)]["failure_reason"] == "Bad password"
    assert shown(found[number(12)], "sign_in_type", "service_principal_id", "user_id", "credential_key_id") == (
        "service_principal",
        SERVICE_PRINCIPAL,
        None,
        KEY,
    )
    assert shown(found[number(21)], "sign_in_type", "user_id") == ("interactive", USER)


def test_sign_ins_from_unified_audit(rows: Rows) -> None:
    found = rows("sign_ins_from_unified_audit", "unified_audit.ndjson")
    (row,) = found.values()
    assert row["sign_in_id"] == number(42)  # the id the sign-in logs use, not the audit record's own
    assert shown(row, "app_id", "user_id", "error_code", "user_agent", "ip_address") == (
        APP,
        USER,
        50126,
        "Mozilla/5.0",
        "198.51.100.7",
    )


def test_directory_audits_from_diagnostic(rows: Rows) -> None:
    found = rows("directory_audits_from_diagnostic", "diagnostic.ndjson")
    first = found.pop("Directory_b1_AAAA_1")
    assert first["activity"] == "Update application - Certificates and secrets management"
    assert first["activity_at"] == at("2026-11-02T08:59:58.5")
    assert shown(first, "actor_id", "actor_type", "actor_name", "actor_ip") == (USER, "user", INES, "198.51.100.8")
    assert shown(first, "target_ids", "target_name", "target_type") == (
        ["d2000000-0000-4000-8000-000000000001"],
        "Ledger Sync",
        "Application",
    )
    (second,) = found.values()
    assert shown(second, "actor_id", "actor_type", "actor_app_id", "result", "target_ids") == (
        SERVICE_PRINCIPAL,
        "service_principal",
        APP,
        "failure",
        [],
    )


def test_directory_audits_from_log_analytics(rows: Rows) -> None:
    (row,) = rows("directory_audits_from_log_analytics", "log_analytics.ndjson").values()
    assert row["activity_at"] == at("2026-11-03T08:59:59")
    assert shown(row, "activity", "actor_type", "actor_id", "target_ids", "result") == (
        "Consent to application",
        "service_principal",
        SERVICE_PRINCIPAL,
        [SERVICE_PRINCIPAL],
        "success",
    )


def test_directory_audits_from_unified_audit_look_like_the_others(rows: Rows) -> None:
    (row,) = rows("directory_audits_from_unified_audit", "unified_audit.ndjson").values()
    assert shown(row, "activity", "category", "result") == ("Add service principal", "ServicePrincipal", "success")
    assert shown(row, "actor_id", "actor_type", "actor_name", "actor_ip") == (USER, "user", INES, "198.51.100.9")
    assert shown(row, "target_ids", "target_name", "target_type") == (
        [SERVICE_PRINCIPAL, APP],
        "Ledger Sync",
        "ServicePrincipal",
    )
    assert '"displayName":"AccountEnabled"' in row["targets"]
    assert f'"key":"AppId","value":"{APP}"' in row["details"]


def test_api_activity_from_diagnostic(rows: Rows) -> None:
    diagnostic = rows("api_activity_from_diagnostic", "diagnostic.ndjson")
    assert shown(diagnostic[number(7)], "app_id", "status", "bytes_returned", "is_app_only", "permissions") == (
        APP,
        200,
        2048,
        True,
        "User.Read.All",
    )
    assert shown(diagnostic[number(8)], "method", "status", "bytes_returned", "is_app_only", "permissions") == (
        "POST",
        429,
        None,
        False,
        "Mail.Send",
    )


def test_api_activity_from_log_analytics(rows: Rows) -> None:
    found = rows("api_activity_from_log_analytics", "log_analytics.ndjson", "log_analytics_query.json")
    assert shown(found[number(13)], "status", "bytes_returned", "is_app_only", "user_id") == (403, 512, True, None)
    assert shown(found[number(31)], "status", "bytes_returned") == (200, 7)


def test_api_activity_from_hunting(rows: Rows) -> None:
    found = rows("api_activity_from_hunting", "hunting.json", "hunting.csv")
    assert shown(found[number(51)], "called_at", "bytes_returned", "ip_address", "workload") == (
        at("2026-11-05T10:00:00.5"),
        4096,
        "198.51.100.7",
        "Microsoft.SharePoint",
    )
    assert shown(found[number(52)], "called_at", "ip_address") == (at("2026-11-05T14:19:28"), "198.51.100.9")


def test_office_activity_from_unified_audit(rows: Rows) -> None:
    found = rows("office_activity_from_unified_audit", "unified_audit.ndjson", "purview.csv")
    assert [found[number(n)]["bytes"] for n in (44, 45, 46)] == [1024, 75096, 512]
    assert [found[number(n)]["ip_address"] for n in (44, 45, 46)] == ["2001:db8::7", "198.51.100.7", "198.51.100.7"]
    assert [found[number(n)]["user_id"] for n in (44, 45, 46)] == [INES, INES, None]  # app@sharepoint is nobody
    assert {row["app_id"] for row in found.values()} == {APP}


def test_office_activity_from_log_analytics(rows: Rows) -> None:
    (row,) = rows("office_activity_from_log_analytics", "log_analytics.ndjson").values()
    assert shown(row, "app_id", "user_id", "bytes", "result") == (APP, INES, 350, "success")


def test_security_alerts_from_log_analytics(rows: Rows) -> None:
    (row,) = rows("security_alerts_from_log_analytics", "log_analytics.ndjson").values()
    assert shown(row, "alert_id", "title", "severity", "status") == (number(15), "Unusual app", "high", "new")
    assert shown(row, "app_id", "user_id", "mitre") == (APP, USER, ["T1528"])
    assert shown(row, "evidence_app_ids", "incident_id", "classification") == ([APP], None, None)


@pytest.mark.parametrize("value", ["", "00000000-0000-0000-0000-000000000000"])
def test_an_empty_or_zero_id_is_no_id(bench: Bench, value: str) -> None:
    ids = {"id": value, "appId": value, "servicePrincipalId": value, "userId": value}
    event = {"category": "SignInLogs", "properties": ids | {"createdDateTime": "2026-11-02T10:00:00Z"}}
    other = {"category": "SignInLogs", "properties": ids | {"createdDateTime": "2026-11-02T11:00:00Z"}}
    bench.raw("sign_ins_diagnostic", [event, event, other])
    found = bench.run("sign_ins_from_diagnostic")
    assert {shown(row, "app_id", "service_principal_id", "user_id") for row in found} == {(None, None, None)}
    assert len({row["sign_in_id"] for row in found}) == 2  # the content stands in for the id


def test_the_same_event_in_two_shapes_is_one_row(bench: Bench, tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.take(FIXTURES / "diagnostic.ndjson", FIXTURES / "same_event_log_analytics.ndjson")
    for bucket in ("sign_ins_diagnostic", "sign_ins_log_analytics"):
        bench.raw(bucket, [line.decode() for line in desk.lines(bucket)])
    for shape in ("graph", "diagnostic", "log_analytics", "unified_audit"):
        bench.run(f"sign_ins_from_{shape}")
    found = {row["sign_in_id"]: row for row in bench.run("stg_sign_ins")}
    assert shown(found[number(1)], "copies", "shape") == (2, "diagnostic")
    assert len(found) == 4
