"""The policies about power, names and openness of apps: each fires and stays silent."""

from __future__ import annotations

import csv
import json
from typing import Any

import duckdb
import pytest
from policy_tables import GRAPH, cover, found, one
from state_tables import put, read_names, state_warehouse

from appgov_lib.errors import UserError
from appgov_lib.store.models import REFERENCE_DIR

MICROSOFT_GRAPH = "00000003-0000-0000-c000-000000000000"
OTHER = "00000000-0000-4000-8000-00000000000b"
OUT_OF_SCOPE = {"is_in_scope": False}


@pytest.fixture
def con() -> duckdb.DuckDBPyConnection:
    """An empty warehouse."""
    return state_warehouse()


def graph(con: duckdb.DuckDBPyConnection) -> None:
    """The service principal of Microsoft Graph."""
    put(con, "stg_service_principals", service_principal_id=GRAPH, app_id=MICROSOFT_GRAPH)


TAKEOVER = {"permission": "RoleManagement.ReadWrite.Directory", "permission_type": "application"}


def test_an_outside_app_that_can_take_over_the_tenant_is_found(con):
    graph(con)
    put(con, "app_inventory", app_origin="external")
    put(con, "app_permissions", **TAKEOVER)
    put(con, "stg_directory_role_assignments", role_definition_id="62e90394-69f5-4237-9190-012177145e10")
    row = one(con, "foreign-app-with-tenant-power")
    assert row["measure"] == 2
    assert "RoleManagement.ReadWrite.Directory" in row["evidence"]["powers"]


@pytest.mark.parametrize(
    ("app", "held"),
    [
        ({"app_origin": "internal"}, {}),
        ({"status": "disabled_by_user"}, {}),
        (OUT_OF_SCOPE, {}),
        ({}, {"permission": "Mail.Read"}),
        ({}, {"permission_type": "delegated"}),
        ({}, {"resource_id": OTHER}),  # an API of one's own may publish a permission of that name
    ],
)
def test_foreign_app_is_silent(con, app: dict[str, Any], held: dict[str, Any]):
    graph(con)
    put(con, "stg_service_principals", service_principal_id=OTHER, app_id=OTHER)
    put(con, "app_inventory", **{"app_origin": "external", **app})
    put(con, "app_permissions", **{**TAKEOVER, **held})
    assert found(con, "foreign-app-with-tenant-power").empty


# Names


@pytest.mark.parametrize(
    ("name", "reported"),
    [
        ("Microsoft Teams", True),
        ("MICROSOFT  TEAMS", True),
        ("Micr\u043es\u043eft Teams", True),  # Cyrillic o
        ("Microsoft\u200b Teams", True),
        ("\uff2dicrosoft Teams", True),  # full width M
        ("Rnicrosoft Teams", True),
        ("Mlcrosoft Backup", True),
        ("M\u00efcrosoft Secure Mail", True),
        ("Backup for Microsoft 365", False),
        ("Dataverse", False),
        ("Payroll Sync", False),
        ("'); DROP TABLE app_inventory; --", False),
    ],
)
def test_names_that_read_like_microsofts(con, name: str, reported: bool):
    put(con, "app_inventory", display_name=name)
    put(con, "stg_service_principals")
    read_names(con)
    assert len(found(con, "imitates-microsoft")) == int(reported)


@pytest.mark.parametrize(("app", "principal"), [(OUT_OF_SCOPE, {}), ({}, {"app_owner_tenant_id": None})])
def test_what_may_be_microsofts_own_does_not_imitate(con, app: dict[str, Any], principal: dict[str, Any]):
    put(con, "app_inventory", display_name="Microsoft Teams", **app)
    put(con, "stg_service_principals", **principal)
    read_names(con)
    assert found(con, "imitates-microsoft").empty


@pytest.mark.parametrize(
    ("name", "level", "oddity"),
    [
        ("Invoice\u202egpj.exe", "low", "holds signs that cannot be seen"),
        ("a\u200bb", "low", "holds signs that cannot be seen"),
        ("\x1b[31mred", "low", "holds signs that cannot be seen"),
        ("...", "low", "has neither a letter nor a digit"),
        ("Ada Lovelace ", "low", "is the name of a user"),
        ("ADA@x.example", "low", "is the name of a user"),
        ("Test 2", "high", "is that of a trial, while its permissions reach far"),
        ("Test 2", "low", None),
        ("Test results", "high", None),
        ("\u5e94\u7528", "low", None),
        ("\U0001f680 Rocket \U0001f469\u200d\U0001f680", "low", None),
    ],
)
def test_odd_names(con, name: str, level: str, oddity: str | None):
    put(con, "stg_users", user_id="u1", display_name="Ada Lovelace", user_principal_name="ada@x.example")
    put(con, "stg_users", user_id="u2", display_name="Ada Lovelace", user_principal_name="ada2@x.example")
    put(con, "app_inventory", display_name=name, privilege_level=level)
    read_names(con)
    rows = found(con, "odd-app-name")
    assert [json.loads(text)["oddity"] for text in rows["evidence"]] == ([oddity] if oddity else [])


def test_every_listed_app_is_found_in_the_directory_or_in_sign_ins_alone(con):
    with (REFERENCE_DIR / "abused_apps.csv").open(encoding="utf-8", newline="") as handle:
        ids = sorted(row["app_id"] for row in csv.DictReader(handle))
    put(con, "app_inventory", service_principal_id="sp-0", app_id=ids[0], consented_users=4)
    put(con, "stg_sign_ins", app_id=ids[0])
    for number, app in enumerate(ids[1:]):
        put(con, "stg_sign_ins", sign_in_id=f"t{number}", app_id=app)
    put(con, "app_inventory", service_principal_id=OTHER, app_id=OTHER)
    put(con, "stg_sign_ins", sign_in_id="u", app_id=OTHER)
    rows = found(con, "known-abused-app")
    assert sorted(rows["app_id"]) == ids
    assert sorted(rows["service_principal_id"]) == sorted(["sp-0", *ids[1:]])


def test_a_listed_app_without_use_is_told_so(con):
    put(con, "app_inventory", app_id="ff8d92dc-3d82-41d6-bcbd-b9174d163620", consented_users=4)
    con.execute("INSERT INTO ref_abused_apps SELECT app_id, 'PerfectData', 'x', 'high', '2026', 'us' "
                "FROM ref_abused_apps WHERE name LIKE 'PerfectData%'")  # fmt: skip
    row = one(con, "known-abused-app")
    assert row["measure"] == 4
    assert row["reason"].endswith("Permissions it holds here: 2. No sign-in is known.")
    assert len(row["evidence"]["sources"]) == 2


def test_a_consent_to_a_listed_app_is_enough(con):
    rclone = "4761b959-9780-4c2d-87a3-512b4638f767"
    put(con, "audited_apps", activity="Consent to application", object_id="s9", app_id=rclone, app_name="rclone")
    row = one(con, "known-abused-app")
    assert (row["service_principal_id"], row["app_id"]) == ("s9", rclone)
    assert row["reason"].endswith("In the audit log: Consent to application, first on 2026-11-12 09:00 UTC by Ada.")
    con.execute("UPDATE audited_apps SET result = 'failure'")
    assert found(con, "known-abused-app").empty  # consent-stopped tells of that


# Permissions


OUTSIDE = {"app_origin": "external", "publisher_verified": False}
READS = {"permission": "Policy.Read.All", "permission_type": "application", "privilege_level": "medium"}


def test_an_outside_app_that_reads_across_the_tenant_is_found(con):
    put(con, "app_inventory", **OUTSIDE)
    put(con, "app_permissions", **READS, level_reason="reads security policies")
    put(con, "app_permissions", **{**READS, "permission": "User.Read.All"}, level_reason="full profiles")
    row = one(con, "outside-app-reads-tenant")
    assert row["measure"] == 2
    assert row["reason"] == (
        "An app of another tenant, its publisher not verified, holds Policy.Read.All, User.Read.All without a user; "
        "with the first of them it reads security policies."
    )


@pytest.mark.parametrize(
    ("app", "held"),
    [
        (OUT_OF_SCOPE, {}),
        ({"app_origin": "internal"}, {}),
        ({"app_origin": "unknown"}, {}),
        ({"publisher_verified": True}, {}),
        ({"publisher_verified": None}, {}),
        ({"status": "deactivated"}, {}),
        ({}, {"permission_type": "delegated"}),
        ({}, {"privilege_level": "low"}),
        ({}, {"privilege_level": None}),
    ],
)
def test_other_apps_do_not_read_across_the_tenant(con, app: dict[str, Any], held: dict[str, Any]):
    put(con, "app_inventory", **{**OUTSIDE, **app})
    put(con, "app_permissions", **{**READS, **held})
    assert found(con, "outside-app-reads-tenant").empty


@pytest.mark.parametrize("source", ["service_principals", "app_role_assignments", "organization"])
def test_without_its_sources_nobody_is_said_to_read_across_the_tenant(con, source: str):
    cover(con, source, "not_permitted")
    with pytest.raises(UserError, match="not permitted"):
        found(con, "outside-app-reads-tenant")


def test_high_privilege_of_both_kinds_is_found(con):
    put(con, "app_inventory")
    for kind in ("application", "delegated"):
        put(con, "app_permissions", permission="Mail.ReadWrite", permission_type=kind, privilege_level="high")
    assert one(con, "mixed-permission-kinds")["measure"] == 2


@pytest.mark.parametrize("app", [OUT_OF_SCOPE, {"status": "deactivated"}, {"display_name": "one kind is low"}])
def test_mixed_kinds_is_silent(con, app: dict[str, Any]):
    put(con, "app_inventory", **app)
    put(con, "app_permissions", permission_type="application", privilege_level="high")
    put(con, "app_permissions", privilege_level="low" if "display_name" in app else "high")
    assert found(con, "mixed-permission-kinds").empty


OPEN = {"app_origin": "external", "publisher_verified": False, "assignment_required": False}
HIGH = {"permission": "Mail.ReadWrite", "privilege_level": "high"}


def test_an_outside_app_open_to_everyone_is_found(con):
    put(con, "app_inventory", **OPEN)
    put(con, "app_permissions", **HIGH)
    assert "consented for everybody to Mail.ReadWrite." in one(con, "open-to-everyone")["reason"]


@pytest.mark.parametrize(
    ("app", "held"),
    [
        ({"assignment_required": True}, {}),
        ({"assignment_required": None}, {}),
        ({"publisher_verified": True}, {}),
        ({"app_origin": "internal"}, {}),
        ({"status": "disabled_by_user"}, {}),
        (OUT_OF_SCOPE, {}),
        ({}, {"privilege_level": "medium"}),
        ({}, {"consent_type": "user"}),
        ({}, {"permission_type": "application"}),
    ],
)
def test_open_to_everyone_is_silent(con, app: dict[str, Any], held: dict[str, Any]):
    put(con, "app_inventory", **{**OPEN, **app})
    put(con, "app_permissions", **{**HIGH, **held})
    assert found(con, "open-to-everyone").empty


@pytest.mark.parametrize(
    ("app", "reported"), [({}, True), (OUT_OF_SCOPE, False), ({"status": "disabled_by_user"}, False)]
)
def test_disabled_by_microsoft(con, app: dict[str, Any], reported: bool):
    put(con, "app_inventory", **{"status": "disabled_by_microsoft", "consented_users": 1, **app})
    put(con, "stg_service_principals", disabled_by_microsoft_status="DisabledDueToViolationOfServicesAgreement")
    rows = found(con, "disabled-by-microsoft")
    assert len(rows) == int(reported)
    if reported:
        assert rows.iloc[0]["reason"].startswith(
            "Microsoft has disabled the app (DisabledDueToViolationOfServicesAgreement). It still holds 2 permissions, "
            "and 1 user consented to it"
        )
