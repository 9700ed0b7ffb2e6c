"""Which app an event of the audit log is about: real shapes of targets and properties, a few at a time."""

from __future__ import annotations

import json
from typing import Any

import pytest
from conftest import Bench

APP_ID, OBJECT, API = (f"0000000{n}-0000-4000-8000-00000000000{n}" for n in (1, 2, 3))
LISTED = "14d82eec-204b-4c2f-b7e8-296a70dab67e"  # on the list of Microsoft's app ids
ROTATION = "ef5d5c69-a5df-46bb-acaf-426f161a21a2"


def target(kind: str, object_id: str, name: str | None = None, **changes: str) -> dict[str, Any]:
    """A target with its modified properties, values as the log quotes them."""
    written = [
        {"displayName": k.replace("_", "."), "oldValue": None, "newValue": json.dumps(v)} for k, v in changes.items()
    ]
    return {"id": object_id, "type": kind, "displayName": name, "modifiedProperties": written}


def run(bench: Bench, activity: str, targets: list[dict[str, Any]], **more: Any) -> list[dict[str, Any]]:
    """The rows made of one event."""
    if not bench.rows("SELECT 1 FROM duckdb_tables() WHERE table_name = 'stg_service_principals'"):
        bench.table("stg_service_principals", "service_principal_id | app_id | display_name")
        bench.table("stg_applications", "application_id | app_id | display_name")
        bench.table("app_identity", "service_principal_id | is_first_party BOOLEAN")
    row = {
        "audit_id": "e1", "activity_at": "2026-11-12 09:00:00", "activity": activity, "result": "success",
        "result_reason": None, "actor_id": "u1", "actor_type": "user", "actor_name": "Ada", "actor_app_id": None,
        "actor_ip": None, "target_ids": [t["id"] for t in targets],
        "target_type": targets[0]["type"] if targets else None,
        "targets": json.dumps(targets), "details": "[]",
    } | more  # fmt: skip
    kinds = {"activity_at": "TIMESTAMP", "target_ids": "VARCHAR[]", "targets": "JSON", "details": "JSON"}
    columns = ", ".join(f"CAST(${name} AS {kinds.get(name, 'VARCHAR')}) AS {name}" for name in row)
    bench.con.execute(f"CREATE OR REPLACE TABLE stg_directory_audits AS SELECT {columns}", row)
    return bench.run("audited_apps")


def app(rows: list[dict[str, Any]]) -> tuple[Any, ...]:
    """Object, app id and name of the only row."""
    (row,) = rows
    return row["object_id"], row["app_id"], row["app_name"]


def test_a_consent_names_its_app_among_the_details(bench: Bench) -> None:
    details = json.dumps([{"key": "AppId", "value": APP_ID}])
    rows = run(bench, "Consent to application", [target("ServicePrincipal", OBJECT, "Notes")], details=details)
    assert app(rows) == (OBJECT, APP_ID, "Notes")
    assert (rows[0]["is_in_directory"], rows[0]["is_first_party"], rows[0]["is_rotation"]) == (False, False, False)


@pytest.mark.parametrize("kind", ["Application", "ServicePrincipal"])
def test_an_owner_is_added_to_what_the_properties_name(bench: Bench, kind: str) -> None:
    names = {f"{kind}_ObjectID": OBJECT, f"{kind}_DisplayName": "Notes", f"{kind}_AppId": APP_ID}
    targets = [target("User", "00000009-0000-4000-8000-000000000009", None, **names), target(kind, OBJECT)]
    assert app(run(bench, "Add owner to application", targets)) == (OBJECT, APP_ID, "Notes")


@pytest.mark.parametrize("activity", ["Add app role assignment to service principal", "Add delegated permission grant"])
def test_a_permission_is_told_of_the_app_that_gets_it_not_of_the_api(bench: Bench, activity: str) -> None:
    names = {
        "ServicePrincipal_ObjectID": OBJECT,
        "ServicePrincipal_AppId": APP_ID,
        "TargetId_ServicePrincipalNames": LISTED,
    }
    targets = [target("ServicePrincipal", API, "Microsoft Graph", **names), target("ServicePrincipal", OBJECT, "Notes")]
    (row,) = run(bench, activity, targets)
    assert (row["object_id"], row["app_id"], row["is_first_party"]) == (OBJECT, APP_ID, False)
    # without these properties the app stands last, and its app id is not known
    bare = [target("ServicePrincipal", API, "Microsoft Graph"), target("ServicePrincipal", OBJECT, "Notes")]
    details = json.dumps([{"key": "AppId", "value": LISTED}])
    assert app(run(bench, activity, bare, details=details)) == (OBJECT, None, "Notes")


def test_ids_among_the_names_of_a_new_service_principal(bench: Bench) -> None:
    names = {"TargetId_ServicePrincipalNames": f"{LISTED};https://x.example"}
    (row,) = run(bench, "Add service principal", [target("ServicePrincipal", OBJECT, "Notes", **names)])
    assert (row["app_id"], row["is_first_party"]) == (LISTED, True)


def test_the_directory_says_more_than_the_event(bench: Bench) -> None:
    bench.table("stg_service_principals", f"service_principal_id | app_id | display_name\n{OBJECT} | {LISTED} | Notes")
    bench.table("stg_applications", "application_id | app_id | display_name")
    bench.table("app_identity", f"service_principal_id | is_first_party BOOLEAN\n{OBJECT} | false")
    rows = run(bench, "Add owner to service principal", [target("ServicePrincipal", OBJECT)])
    assert app(rows) == (OBJECT, LISTED, "Notes")
    # a listed id of another tenant's app is not Microsoft's own
    assert (rows[0]["is_in_directory"], rows[0]["is_first_party"]) == (True, False)


@pytest.mark.parametrize(
    ("actor", "rotation"),
    [
        ({"actor_type": "service_principal", "actor_app_id": ROTATION}, True),
        ({"actor_type": "service_principal", "actor_name": "Managed Service Identity"}, True),
        ({"actor_type": "user", "actor_name": "Managed Service Identity"}, False),
        ({"actor_type": "service_principal", "actor_name": "Managed Service Identity", "actor_app_id": APP_ID}, False),
        ({"actor_type": "service_principal", "actor_name": "Robot"}, False),
    ],
    ids=["by id", "by name alone", "a user of that name", "an app of that name", "another app"],
)
def test_rotation_is_known_by_the_app_that_acts(bench: Bench, actor: dict[str, Any], rotation: bool) -> None:
    (row,) = run(bench, "Update service principal", [target("ServicePrincipal", OBJECT)], **actor)
    assert row["is_rotation"] is rotation


def test_an_impostor_in_the_directory_is_no_rotation(bench: Bench) -> None:
    bench.table(
        "stg_service_principals",
        f"service_principal_id | app_id | display_name\nu1 | {APP_ID} | Managed Service Identity",
    )
    bench.table("stg_applications", "application_id | app_id | display_name")
    bench.table("app_identity", "service_principal_id | is_first_party BOOLEAN")
    actor = {"actor_type": "service_principal", "actor_name": "Managed Service Identity"}
    (row,) = run(bench, "Update service principal", [target("ServicePrincipal", OBJECT)], **actor)
    assert row["is_rotation"] is False


@pytest.mark.parametrize(
    ("activity", "targets"),
    [("Update user", [target("User", OBJECT)]), ("Add owner to service principal", [])],
    ids=["no app", "no target"],
)
def test_events_without_an_app_are_left_out(bench: Bench, activity: str, targets: list[dict[str, Any]]) -> None:
    assert run(bench, activity, targets) == []


def test_refused_and_undated_events_are_kept(bench: Bench) -> None:
    more = {"result": "failure", "result_reason": "Blocked", "activity_at": None}
    (row,) = run(bench, "Consent to application", [target("Application", OBJECT, "Notes")], **more)
    assert (row["result"], row["result_reason"], row["activity_at"]) == ("failure", "Blocked", None)
    # some logs name targets without saying of what kind they are
    (row,) = run(bench, "Consent to application", [target("", OBJECT)], target_type=None)
    assert row["object_id"] == OBJECT
