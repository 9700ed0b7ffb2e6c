"""One change is one row: the directory audit log, the unified audit log and audit searches tell of the same events."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from conftest import Bench
from importing import SHARED
from sample_tenant import rows as sample_rows

REAL = SHARED / "realdata" / "splunk_security_content"
real = pytest.mark.skipif(not REAL.exists(), reason="the public reference records are not beside this checkout")
ACTIVITY = "Add app role assignment to service principal"
SP, ROLE, OTHER_ROLE = (f"{n}0000000-0000-4000-8000-000000000000" for n in "abc")
OPERATION = "d0000000-0000-4000-8000-000000000000"
START = datetime(2026, 11, 2, 10, 0, 14, 497041)
Change = Callable[..., dict[str, Any]]


def recorded(shape: str, name: str) -> dict[str, Any]:
    """A published record."""
    record: dict[str, Any] = json.loads((REAL / shape / f"{name}.json").read_text(encoding="utf-8"))
    return record


def searched(record: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A unified audit record as an audit search returns it."""
    return {
        "id": record["Id"],
        "createdDateTime": record["CreationTime"] + "Z",
        "operation": record["Operation"],
        "service": record["Workload"],
        "userId": record.get("UserKey"),
        "userPrincipalName": record.get("UserId"),
        "userType": "Regular",
        "auditData": record,
        **more,
    }


def directory(number: int, at: datetime = START, **more: Any) -> dict[str, Any]:
    """A change as the directory audit log has it: `role` is what differs between changes of one operation."""
    role = more.pop("role", ROLE)
    return {
        "id": f"Directory_{OPERATION}_{number}",
        "activityDateTime": at.isoformat() + "Z",
        "activityDisplayName": ACTIVITY,
        "result": "success",
        "correlationId": OPERATION,
        "targetResources": [
            {
                "id": SP,
                "type": "ServicePrincipal",
                "modifiedProperties": [
                    {"displayName": "AppRole.Id", "oldValue": None, "newValue": json.dumps(role)},
                    {"displayName": "TargetId.ServicePrincipalNames", "oldValue": None, "newValue": '"x"'},
                ],
            },
            {"id": OTHER_ROLE, "type": "ServicePrincipal", "modifiedProperties": []},
        ],
        **more,
    }


def unified(number: int, at: datetime = START, **more: Any) -> dict[str, Any]:
    """The same change as the unified audit log has it: whole seconds, a full stop, an id of its own."""
    role, target = more.pop("role", ROLE), more.pop("target", SP)
    return {
        "Id": f"e0000000-0000-4000-8000-{number:012d}",
        "CreationTime": at.isoformat()[:19],
        "Operation": f"{ACTIVITY}.",
        "Workload": "AzureActiveDirectory",
        "ResultStatus": "Success",
        "InterSystemsId": OPERATION,
        "Target": [{"ID": f"ServicePrincipal_{target}", "Type": 2}, {"ID": target, "Type": 2}],
        "ModifiedProperties": [
            {"Name": "TargetId.ServicePrincipalNames", "NewValue": "x;y", "OldValue": ""},
            {"Name": "AppRole.Id", "NewValue": role, "OldValue": ""},
        ],
        **more,
    }


def audits(bench: Bench) -> list[dict[str, Any]]:
    """stg_directory_audits from the raw records of the bench."""
    bench.run("stg_audit_records")
    for shape in ("graph", "diagnostic", "log_analytics", "unified_audit"):
        bench.run(f"directory_audits_from_{shape}")
    bench.run("directory_audit_pairs")
    return bench.run("stg_directory_audits")


def office(bench: Bench) -> list[dict[str, Any]]:
    """stg_office_activity from the raw records of the bench."""
    bench.run("stg_audit_records")
    for shape in ("log_analytics", "unified_audit", "audit_query"):
        bench.run(f"office_activity_from_{shape}")
    return bench.run("stg_office_activity")


@real
@pytest.mark.parametrize("name", ["add_service_principal", "update_authorization_policy"])
def test_a_published_change_in_both_logs_is_one_row(bench: Bench, name: str) -> None:
    told = recorded("unified_audit", name)
    event = recorded("aad_diagnostic", name)
    bench.raw("directory_audits_diagnostic", [event])
    bench.raw("directory_audits_unified_audit", [told])
    bench.raw("audit_records", [searched(told)])
    (row,) = audits(bench)
    assert (row["audit_id"], row["shape"], row["copies"]) == (event["properties"]["id"], "diagnostic", 3)


@real
def test_published_records_of_other_changes_stay_apart(bench: Bench) -> None:
    events = [json.loads(path.read_bytes()) for path in sorted((REAL / "aad_diagnostic").glob("*.json"))]
    told = [json.loads(path.read_bytes()) for path in sorted((REAL / "unified_audit").glob("*.json"))]
    bench.raw("directory_audits_diagnostic", [e for e in events if e["category"] == "AuditLogs"])
    changes = [t for t in told if t["Workload"] == "AzureActiveDirectory" and t["Operation"] != "UserLoginFailed"]
    bench.raw("directory_audits_unified_audit", changes)
    found = audits(bench)
    assert sorted(row["activity"] for row in found if row["copies"] == 2) == [
        "Add service principal",
        "Update authorization policy",
    ]
    assert len(found) == len(changes) + len([e for e in events if e["category"] == "AuditLogs"]) - 2


@pytest.mark.parametrize(
    "other",
    [
        {"role": OTHER_ROLE},
        {"target": ROLE},
        {"InterSystemsId": ROLE},
        {"InterSystemsId": "00000000-0000-0000-0000-000000000000"},
        {"Operation": "Remove app role assignment from service principal."},
        {"ResultStatus": "Failure"},
        {"at": START + timedelta(seconds=7)},
        {"CreationTime": "no time"},
    ],
)
def test_what_differs_in_anything_stays_two_rows(bench: Bench, other: dict[str, Any]) -> None:
    bench.raw("directory_audits_graph", [directory(1)])
    bench.raw("directory_audits_unified_audit", [unified(1, **other)])
    assert [row["copies"] for row in audits(bench)] == [1, 1]


def test_changes_of_one_operation_pair_one_to_one(bench: Bench) -> None:
    """Two roles, one of them given twice; the directory log lacks one, the unified audit log another."""
    second = timedelta(seconds=1)
    bench.raw("directory_audits_graph", [directory(1), directory(2, START + second), directory(3, role=OTHER_ROLE)])
    bench.raw(
        "directory_audits_unified_audit", [unified(1), unified(2, START + second), unified(3, START + 2 * second)]
    )
    found = {row["audit_id"]: (row["shape"], row["copies"]) for row in audits(bench)}
    assert found == {
        f"Directory_{OPERATION}_1": ("graph", 2),
        f"Directory_{OPERATION}_2": ("graph", 2),
        f"Directory_{OPERATION}_3": ("graph", 1),
        "e0000000-0000-4000-8000-000000000003": ("unified_audit", 1),
    }


def test_the_same_change_an_hour_later_pairs_with_its_own_hour(bench: Bench) -> None:
    """The directory log of the first hour is gone: that record stays alone."""
    later = START + timedelta(hours=1)
    bench.raw("directory_audits_graph", [directory(2, later)])
    bench.raw("directory_audits_unified_audit", [unified(1), unified(2, later)])
    found = audits(bench)
    assert [(row["audit_id"][0], row["copies"]) for row in found] == [("e", 1), ("D", 2)]


@pytest.mark.parametrize("old", [None, "", "[]"])
@pytest.mark.parametrize(
    ("written", "told"),
    [
        ('["[KeyIdentifier=1,KeyType=Password]"]', '[\r\n  "[KeyIdentifier=1,KeyType=Password]"\r\n]'),
        ('"Ada\\u0027s app"', "Ada's app"),
        ("[true]", "[\r\n  true\r\n]"),
        ('"False"', "False"),
    ],
)
def test_values_are_compared_by_what_they_say(bench: Bench, written: str, told: str, old: str | None) -> None:
    activity = "Update application \u2013 Certificates and secrets management "
    target = {"id": SP, "modifiedProperties": [{"displayName": "P", "oldValue": None, "newValue": written}]}
    bench.raw("directory_audits_graph", [directory(1, activityDisplayName=activity, targetResources=[target])])
    properties = [{"Name": "P ", "NewValue": told, "OldValue": old}]
    bench.raw("directory_audits_unified_audit", [unified(1, Operation=activity, ModifiedProperties=properties)])
    assert [row["copies"] for row in audits(bench)] == [2]


def test_without_target_and_value_nothing_pairs(bench: Bench) -> None:
    bench.raw("directory_audits_graph", [directory(1, targetResources=[])])
    bench.raw("directory_audits_unified_audit", [unified(1, Target=[], ModifiedProperties=[])])
    assert [row["copies"] for row in audits(bench)] == [1, 1]


def test_many_records_of_one_operation_do_not_multiply(bench: Bench) -> None:
    """A bulk change: 5,000 members under one correlation id."""
    roles = [f"{number:08d}-0000-4000-8000-000000000000" for number in range(5_000)]
    bench.raw("directory_audits_graph", [directory(n, role=role) for n, role in enumerate(roles)])
    bench.raw("directory_audits_unified_audit", [unified(n, role=role) for n, role in enumerate(roles)])
    found = audits(bench)
    assert {row["copies"] for row in found} == {2}
    assert len(found) == len(roles)


def test_the_sample_tenant_has_each_change_once(bench: Bench) -> None:
    """Its audit searches tell of changes that its directory log tells of."""
    from test_sample_sources import finished

    _, records = finished(filterStartDateTime="2026-10-17T00:00:00Z", recordTypeFilters=["AzureActiveDirectory"])
    events = sample_rows("/v1.0/auditLogs/directoryAudits?$filter=activityDateTime ge 2026-10-16T00:00:00Z")
    bench.raw("directory_audits_graph", events)
    bench.raw("audit_records", records)
    found = audits(bench)
    assert len(records) > 20
    assert len(found) == len({event["id"] for event in events})
    assert sum(row["copies"] for row in found) == len(events) + len(records)


@real
def test_a_sign_in_of_the_unified_audit_log_is_the_one_with_its_id(bench: Bench) -> None:
    """IntraSystemId is the id the sign-in log gives; the record's own id and the correlation id join nothing."""
    told = recorded("unified_audit", "userloginfailed")
    bench.raw("sign_ins_unified_audit", [told])
    bench.raw("sign_ins_graph", [
        {"id": told["IntraSystemId"].upper(), "correlationId": told["InterSystemsId"], "userId": told["UserKey"]},
        {"id": told["Id"], "correlationId": told["InterSystemsId"], "userId": told["UserKey"]},
        {"id": SP, "correlationId": told["InterSystemsId"], "userId": told["UserKey"]},
    ])  # fmt: skip
    for shape in ("graph", "diagnostic", "log_analytics", "unified_audit"):
        bench.run(f"sign_ins_from_{shape}")
    found = {row["sign_in_id"]: (row["copies"], row["shape"]) for row in bench.run("stg_sign_ins")}
    assert found == {told["IntraSystemId"]: (2, "graph"), told["Id"]: (1, "graph"), SP: (1, "graph")}


def test_sign_ins_without_an_id_of_the_log_never_merge(bench: Bench) -> None:
    none = "00000000-0000-0000-0000-000000000000"
    told = {"CreationTime": "2026-11-02T10:00:00", "Operation": "UserLoggedIn", "UserId": "ada@x.example",
            "IntraSystemId": none, "InterSystemsId": OPERATION}  # fmt: skip
    bench.raw("sign_ins_unified_audit", [{**told, "Id": SP}, {**told, "Id": ROLE}])
    for shape in ("graph", "diagnostic", "log_analytics", "unified_audit"):
        bench.run(f"sign_ins_from_{shape}")
    assert [row["copies"] for row in bench.run("stg_sign_ins")] == [1, 1]


@real
def test_a_search_and_an_import_of_the_same_activity_are_one_row(bench: Bench) -> None:
    told = recorded("unified_audit", "add_mailboxpermission")
    bench.raw("office_activity_unified_audit", [told])
    bench.raw("audit_records", [searched(told), searched(told)])
    (row,) = office(bench)
    assert (row["copies"], row["shape"], row["operation"]) == (3, "unified_audit", "Add-MailboxPermission")


@real
def test_a_search_alone_reads_as_an_import_does(bench: Bench) -> None:
    names = ("add_mailboxpermission", "set_mailbox")
    for name in names:
        bench.raw("office_activity_unified_audit", [recorded("unified_audit", name)])
    imported = office(bench)
    bench._files.clear()
    for name in names:
        bench.raw("audit_records", [searched(recorded("unified_audit", name), clientIp="192.0.2.1")])
    assert [{**row, "shape": "unified_audit"} for row in office(bench)] == imported


def test_a_search_gives_what_apps_read(bench: Bench) -> None:
    """Mail and files of the sample tenant: the app, the size and the person are those of the record."""
    from test_sample_sources import finished

    _, records = finished(recordTypeFilters=["SharePointFileOperation", "ExchangeItem", "ExchangeItemAggregated"])
    bench.raw("audit_records", [*records, *records[:7]])
    found = office(bench)
    assert len(found) == len(records) > 100
    assert sum(row["copies"] for row in found) == len(records) + 7
    assert all(row["app_id"] and row["operation"] and row["occurred_at"] for row in found)
    assert {row["workload"] for row in found} == {"Exchange", "SharePoint", "OneDrive"}
    assert sum(row["bytes"] or 0 for row in found) > 0
    assert not any((row["user_id"] or "").startswith("app@") for row in found)
    assert audits(bench) == []


def test_a_record_without_its_data_still_counts(bench: Bench) -> None:
    bench.raw("audit_records", [
        {"id": SP, "operation": "MailItemsAccessed", "service": "Exchange", "userPrincipalName": "Ada@x.example",
         "clientIp": "192.0.2.1", "createdDateTime": "2026-11-02T10:00:00Z", "auditData": None},
        {"id": ROLE, "operation": "Add application.", "service": "AzureActiveDirectory", "auditData": [1],
         "createdDateTime": "2026-11-02T10:00:00Z"},
        {"id": OTHER_ROLE, "operation": "UserLoggedIn", "service": "AzureActiveDirectory"},
        {"id": None, "auditData": "text"},
    ])  # fmt: skip
    (mail,) = office(bench)
    assert (mail["user_id"], mail["ip_address"], mail["bytes"]) == ("ada@x.example", "192.0.2.1", None)
    assert [(row["audit_id"], row["activity"], row["copies"]) for row in audits(bench)] == [
        (ROLE, "Add application", 1)
    ]
