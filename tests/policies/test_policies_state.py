"""The policies about state and life cycle: each fires, stays silent, and says when it cannot judge."""

from __future__ import annotations

import json
from typing import Any

import duckdb
import pytest
from policy_tables import SP, cover, found, one
from state_tables import TENANT, put, state_warehouse

from appgov_lib.errors import UserError

MICROSOFT_GRAPH = "00000003-0000-0000-c000-000000000000"
OTHER = "00000000-0000-4000-8000-00000000000b"
OUT_OF_SCOPE = {"is_in_scope": False}


@pytest.fixture
def con() -> duckdb.DuckDBPyConnection:
    """An empty warehouse."""
    return state_warehouse()


NEEDS = [
    ("app-created", "directory_audits"),
    ("app-removed", "directory_audits"),
    ("reply-url-changed", "directory_audits"),
    ("reply-url-of-unknown-domain", "organization"),
    ("unsafe-reply-url", "service_principals"),
    ("reclaimable-reply-url", "service_principals"),
    ("identifier-uri-changed", "directory_audits"),
    ("logout-url-changed", "directory_audits"),
    ("opened-to-other-tenants", "directory_audits"),
    ("privileged-role-on-app", "directory_role_assignments"),
    ("application-administrator-on-user", "directory_audits"),
    ("imitates-microsoft", "service_principals"),
    ("odd-app-name", "service_principals"),
    ("property-lock-missing", "applications"),
    ("mixed-permission-kinds", "delegated_grants"),
    ("foreign-app-with-tenant-power", "service_principals"),
    ("disabled-by-microsoft", "service_principals"),
    ("open-to-everyone", "delegated_grants"),
]


@pytest.mark.parametrize(("policy", "source"), NEEDS)
def test_without_its_source_a_policy_is_not_judged(con, policy: str, source: str):
    assert found(con, policy).empty
    cover(con, source, "not_permitted")
    with pytest.raises(UserError, match=f"Source {source} is not permitted"):
        found(con, policy)


def test_an_abused_app_is_judged_by_any_of_its_sources_alone(con):
    for source in ("service_principals", "sign_ins_interactive", "sign_ins_non_interactive", "directory_audits"):
        cover(con, source, "not_collected")
    assert found(con, "known-abused-app").empty
    cover(con, "sign_ins_service_principal", "failed")
    with pytest.raises(UserError, match="cannot be judged"):
        found(con, "known-abused-app")


# app-created, app-removed


def test_a_created_app_is_told_with_its_actor(con):
    put(con, "app_inventory")
    put(con, "changes", kind="app", change="added", changed_at="2026-11-09 08:00", actor_name="Ada", source="both")
    row = one(con, "app-created")
    assert row["reason"] == (
        "Came into the tenant on 2026-11-09 by Ada; permissions it holds: 2, highest level: low."
    )  # 9 November is the first of the seven days to the 15th
    assert row["evidence"]["source"] == "both"


def test_an_app_told_by_the_log_alone_is_one_finding(con):
    event = {"activity": "Add service principal", "activity_at": "2026-11-10 08:00", "object_id": OTHER, "app_id": "a9"}
    for name in ("e1", "e2"):
        put(con, "audited_apps", audit_id=name, app_name="Malicious11", **event)
    row = one(con, "app-created")
    assert (row["service_principal_id"], row["app_id"], row["app_display_name"]) == (OTHER, "a9", "Malicious11")
    assert row["reason"] == "Came into the tenant on 2026-11-10 by Ada; it is not among the apps read."


@pytest.mark.parametrize(
    ("app", "change"),
    [
        ({}, {"changed_at": "2026-11-08 23:59"}),
        ({}, {"changed_at": "2026-11-16"}),
        ({}, {"change": "removed"}),
        ({}, {"kind": "owner"}),
        (OUT_OF_SCOPE, {}),
    ],
)
def test_app_created_is_silent(con, app: dict[str, Any], change: dict[str, Any]):
    put(con, "app_inventory", **app)
    put(con, "changes", **{"kind": "app", "change": "added", "changed_at": "2026-11-12", **change})
    assert found(con, "app-created").empty


def test_a_failed_creation_is_no_app(con):
    event = {"activity": "Add service principal", "activity_at": "2026-11-10", "object_id": OTHER}
    put(con, "audited_apps", result="failure", **event)
    assert found(con, "app-created").empty


def test_a_removed_app_is_told(con):
    event = {"kind": "app", "change": "removed", "changed_at": "2026-11-12", "subject": "enterprise application"}
    put(con, "changes", **event)
    assert one(con, "app-removed")["reason"] == "The enterprise application was removed on 2026-11-12."
    put(con, "stg_deleted_service_principals", service_principal_id=SP, service_principal_type="Application")
    assert "restored for 30 days" in one(con, "app-removed")["reason"]


@pytest.mark.parametrize("why", ["managed identity", "microsoft", "still here and out of scope", "earlier"])
def test_app_removed_is_silent(con, why: str):
    event = {"kind": "app", "change": "removed", "changed_at": "2026-11-12", "subject": "enterprise application"}
    if why == "managed identity":
        put(con, "stg_deleted_service_principals", service_principal_id=SP, service_principal_type="ManagedIdentity")
    elif why == "microsoft":
        event["app_id"] = MICROSOFT_GRAPH
    elif why == "earlier":
        event["changed_at"] = "2026-11-01"
    else:
        put(con, "app_inventory", **OUT_OF_SCOPE)
    put(con, "changes", **event)
    assert found(con, "app-removed").empty


# What changed on an app: reply addresses, identifiers, sign-out address, audience

SETTINGS = {
    "reply-url-changed": ({"value": "https://a.example"}, {"privilege_level": "high"}),
    "identifier-uri-changed": ({"property": "identifier URI", "value": "api://a"}, {}),
    "logout-url-changed": ({"property": "sign-out address", "value": "https://a.example/out"}, {}),
    "opened-to-other-tenants": ({"property": "open to other tenants", "value": "true"}, {}),
    "reply-url-of-unknown-domain": ({"value": "https://evil.example/cb"}, {}),
}


@pytest.mark.parametrize("policy", sorted(SETTINGS))
def test_a_changed_setting_is_found(con, policy: str):
    change, app = SETTINGS[policy]
    put(con, "stg_organization")
    put(con, "app_inventory", **app)
    put(con, "app_setting_changes", **change)
    row = one(con, policy)
    assert "2026-11-12" in row["reason"]
    assert "Ada" in row["reason"]
    assert row["reason"].endswith(".")
    assert change["value"] in json.dumps(row["evidence"])


@pytest.mark.parametrize("policy", sorted(SETTINGS))
@pytest.mark.parametrize("why", ["earlier", "later", "another property", "out of scope"])
def test_a_changed_setting_is_silent(con, policy: str, why: str):
    change, app = SETTINGS[policy]
    different: dict[str, Any] = {
        "earlier": {"changed_at": "2026-11-08"},
        "later": {"changed_at": "2026-11-16"},
        "another property": {"property": "something else"},
        "out of scope": {},
    }[why]
    put(con, "stg_organization")
    put(con, "app_inventory", **{**app, **(OUT_OF_SCOPE if why == "out of scope" else {})})
    put(con, "app_setting_changes", **{**change, **different})
    assert found(con, policy).empty


def test_a_changed_reply_address_of_a_modest_app_is_not_reported(con):
    put(con, "app_inventory", privilege_level="medium")
    put(con, "app_setting_changes", value="https://a.example")
    assert found(con, "reply-url-changed").empty


def test_an_outside_app_is_not_ours_to_open(con):
    put(con, "app_inventory", app_origin="external")
    put(con, "app_setting_changes", property="open to other tenants", value="true")
    assert found(con, "opened-to-other-tenants").empty


@pytest.mark.parametrize(
    ("address", "host"),
    [
        ("https://evil.example/cb", "evil.example"),
        ("HTTPS://User@Evil.Example:8443/cb", "evil.example"),
        (r"https:\\evil.example\cb", "evil.example"),
        ("https://contoso.example.evil.example/", "contoso.example.evil.example"),
        ("https://notcontoso.example/", "notcontoso.example"),
        ("https://other.azurewebsites.net/cb", "other.azurewebsites.net"),  # anybody's, though ours is one too
        ("https://other.co.uk/cb", "other.co.uk"),
        ("https://203.0.113.9/cb", "203.0.113.9"),
        ("https://login.contoso.example/", None),
        ("https://contoso.example/", None),
        ("https://new.supplier.example/cb", None),
        ("https://localhost:8080/cb", None),
        ("http://127.0.0.1/cb", None),
        ("myapp://auth", None),
    ],
)
def test_only_hosts_nobody_knows_are_reported(con, address: str, host: str | None):
    put(con, "stg_organization")
    put(con, "app_inventory", reply_urls=[address, "https://mine.azurewebsites.net", "https://mine.co.uk/x"])
    put(con, "app_inventory", service_principal_id=OTHER, app_id=OTHER, reply_urls=["https://login.supplier.example/x"])
    put(con, "app_setting_changes", value=address)
    assert list(found(con, "reply-url-of-unknown-domain")["subject"]) == ([host] if host else [])


# Hygiene checks as findings


@pytest.mark.parametrize(
    ("check", "address", "reported"),
    [
        ("reply_url_http", "http://a.example", True),
        ("reply_url_wildcard", "https://*.a.example", True),
        ("reply_url_ip", "https://203.0.113.9", True),
        ("reply_url_localhost", "http://localhost:44321/access", True),
        ("reply_url_localhost", "https://localhost/signin", False),
        ("reply_url_custom_scheme", "myapp://auth", False),
    ],
)
def test_unsafe_reply_addresses(con, check: str, address: str, reported: bool):
    put(con, "app_inventory", reply_urls=[address])
    put(con, "app_hygiene", check_id=check, subject=address, detail="why", hits=3)
    put(con, "hygiene_reply_urls", check_id=check, subject=address)
    put(con, "hygiene_reply_urls", check_id="reply_url_localhost", subject="https://localhost/other")
    rows = found(con, "unsafe-reply-url")
    assert list(rows["measure"]) == ([3] if reported else [])
    if reported:
        assert f"{address} (why)" in rows.iloc[0]["reason"]
        assert one(con, "unsafe-reply-url")["evidence"]["addresses"] == [address]


HYGIENE = {
    "unsafe-reply-url": ("reply_url_http", {}),
    "reclaimable-reply-url": ("reply_url_reclaimable_host", {"privilege_level": "medium"}),
    "property-lock-missing": ("property_lock_missing", {}),
}


@pytest.mark.parametrize("policy", sorted(HYGIENE))
def test_a_hygiene_check_becomes_a_finding(con, policy: str):
    check, app = HYGIENE[policy]
    put(con, "app_inventory", **app)
    put(con, "app_hygiene", check_id=check, subject="http://x.azurewebsites.net", detail="no lock")
    assert one(con, policy)["evidence"]["checks"][0]["check_id"] == check


@pytest.mark.parametrize("policy", sorted(HYGIENE))
@pytest.mark.parametrize(
    ("app", "check"),
    [({}, {"verdict": "unknown"}), ({}, {"verdict": "no"}), (OUT_OF_SCOPE, {}), ({"status": "disabled_by_user"}, {})],
)
def test_a_hygiene_check_is_silent(con, policy: str, app: dict[str, Any], check: dict[str, Any]):
    name, usual = HYGIENE[policy]
    put(con, "app_inventory", **{**usual, **app})
    put(con, "app_hygiene", **{"check_id": name, "subject": "x", "detail": "no lock", **check})
    assert found(con, policy).empty


# Roles and tenant power


@pytest.mark.parametrize(
    ("role", "app", "reported"),
    [
        ({"role_name": "Global Administrator", "is_privileged": True}, {}, True),
        # what Microsoft says of a role stands before the list
        ({"role_definition_id": "62e90394-69f5-4237-9190-012177145e10", "is_privileged": None}, {}, True),
        ({"role_definition_id": "62e90394-69f5-4237-9190-012177145e10", "is_privileged": False}, {}, False),
        ({"role_name": "Directory Readers", "is_privileged": False}, {}, False),
        ({"role_name": "Unknown", "role_definition_id": OTHER, "is_privileged": None}, {}, False),
        ({"role_name": "Global Administrator", "is_privileged": True}, OUT_OF_SCOPE, False),
    ],
)
def test_privileged_roles_of_apps(con, role: dict[str, Any], app: dict[str, Any], reported: bool):
    put(con, "app_inventory", **app)
    put(con, "stg_directory_role_assignments", **role)
    rows = found(con, "privileged-role-on-app")
    assert list(rows["subject"]) == (["Global Administrator"] if reported else [])


def given(con: duckdb.DuckDBPyConnection, role: dict[str, Any], kind: str = "User", **event: Any) -> None:
    """An audit event that gives a role to somebody."""
    person = {
        "type": kind,
        "id": "u9",
        "userPrincipalName": "bob@x.example",
        "modifiedProperties": [{"displayName": name, "newValue": value} for name, value in role.items()],
    }
    row = {"activity": "Add member to role", "activity_at": "2026-11-12", "result": "success", "actor_name": "Ada"}
    put(con, "stg_directory_audits", **{"audit_id": "e1", **row, **event, "targets": json.dumps([person])})


@pytest.mark.parametrize(
    "role",
    [
        {"Role.DisplayName": '"Application Administrator"'},
        {"Role.DisplayName": "Cloud Application Administrator"},
        {"Role.TemplateId": '"9B895D92-2CD3-44C7-9D02-A6AC2D5EA5C3"'},
    ],
)
def test_a_user_who_may_change_every_app_is_a_finding_about_the_tenant(con, role: dict[str, str]):
    put(con, "stg_organization")
    given(con, role)
    given(con, role, audit_id="e2", activity="Add eligible member to role in PIM completed (permanent)")
    row = one(con, "application-administrator-on-user")
    assert (row["service_principal_id"], row["app_display_name"]) == (TENANT, "Tenant settings")
    assert (row["subject"], row["measure"]) == ("u9", 2)
    assert row["reason"].startswith("bob@x.example was given a role")


@pytest.mark.parametrize(
    ("role", "event"),
    [
        ({"Role.DisplayName": "Helpdesk Administrator"}, {}),
        ({"Group.DisplayName": "Application Administrator"}, {}),
        ({"Role.DisplayName": "Application Administrator"}, {"actor_name": "MS-PIM"}),
        (
            {"Role.DisplayName": "Application Administrator"},
            {"activity": "Add member to role completed (PIM activation)"},
        ),
        ({"Role.DisplayName": "Application Administrator"}, {"result": "failure"}),
        ({"Role.DisplayName": "Application Administrator"}, {"activity_at": "2026-11-08"}),
        ({"Role.DisplayName": "Application Administrator"}, {"kind": "ServicePrincipal"}),
    ],
)
def test_application_administrator_is_silent(con, role: dict[str, str], event: dict[str, Any]):
    put(con, "stg_organization")
    given(con, role, **event)
    assert found(con, "application-administrator-on-user").empty
