"""The policies about permissions and consent: each fires, stays silent, and says when it cannot judge."""

from __future__ import annotations

from typing import Any

import duckdb
import pytest
from policy_tables import SP, add, cover, empty_warehouse, found, one

from appgov_lib.errors import UserError


@pytest.fixture
def con() -> duckdb.DuckDBPyConnection:
    """An empty warehouse."""
    return empty_warehouse()


OUTSIDE = {"app_origin": "external", "publisher_verified": False}
UNUSED = {"permission": "Mail.Read", "permission_type": "application", "privilege_level": "high", "usage": "unused"}


# overprivileged-app


def test_overprivileged_counts_unused_high_and_medium_permissions(con):
    add(con, "app_inventory", permission_count=4)
    add(con, "app_permissions", **UNUSED)
    add(con, "app_permissions", permission="Files.Read", privilege_level="medium", usage="unused")
    add(con, "app_permissions", permission="openid", privilege_level="low", usage="unused")  # not worth a change
    add(con, "app_permissions", permission="Group.Read.All", privilege_level="high", usage="used")
    row = one(con, "overprivileged-app")
    assert (row["measure"], row["threshold"], row["subject"]) == (2, 1, "")
    assert row["reason"] == (
        "2 of 4 permissions were not used in 1,200 recorded API calls of the last 30 days, 1 of them with high "
        "privilege: Mail.Read, Files.Read."
    )
    assert [p["permission"] for p in row["evidence"]["permissions"]] == ["Mail.Read", "Files.Read"]


def test_app_that_signs_in_without_calling_is_overprivileged(con):
    add(con, "app_inventory", calls_30d=0, last_used_at="2026-08-18")
    add(con, "app_permissions", **UNUSED)
    assert len(found(con, "overprivileged-app")) == 1


@pytest.mark.parametrize(
    ("app", "permission"),
    [
        ({}, {"usage": "used"}),
        ({}, {"usage": "unknown"}),
        ({"calls_30d": 0, "last_used_at": "2026-08-17"}, {}),  # unused-app
        ({"calls_30d": 0, "last_used_at": None}, {}),
        ({"is_first_party": True}, {}),
        ({"service_principal_type": "ManagedIdentity"}, {}),
    ],
)
def test_overprivileged_is_silent(con, app: dict[str, Any], permission: dict[str, Any]):
    add(con, "app_inventory", **app)
    add(con, "app_permissions", **{**UNUSED, **permission})
    assert found(con, "overprivileged-app").empty


def test_overprivileged_is_not_judged_without_the_whole_log(con):
    add(con, "app_inventory")
    add(con, "app_permissions", **UNUSED)
    cover(con, "api_activity", "partial")
    with pytest.raises(UserError, match="api_activity is read only in part"):
        found(con, "overprivileged-app")


# highly-privileged-unverified-app


def test_unverified_outside_app_with_high_permission_is_found(con):
    add(con, "app_inventory", **OUTSIDE)
    add(con, "app_permissions", permission="Mail.ReadWrite", permission_type="application", privilege_level="high")
    add(con, "app_permissions", permission="Files.ReadWrite.All", privilege_level="high")
    add(con, "app_permissions")
    row = one(con, "highly-privileged-unverified-app")
    assert (row["measure"], row["threshold"]) == (2, 1)
    assert row["reason"] == (
        "An app of another tenant whose publisher is not verified holds 2 high permissions, 1 of them without a "
        "signed-in user: Mail.ReadWrite, Files.ReadWrite.All."
    )


@pytest.mark.parametrize(
    "app",
    [
        {"publisher_verified": True},
        {"publisher_verified": None},
        {"app_origin": "internal"},
        {"app_origin": "microsoft", "is_first_party": True},
        {"status": "disabled_by_user"},
        {"service_principal_type": "ManagedIdentity"},
    ],
)
def test_unverified_outside_app_is_silent(con, app: dict[str, Any]):
    add(con, "app_inventory", **{**OUTSIDE, **app})
    add(con, "app_permissions", permission="Mail.ReadWrite", permission_type="application", privilege_level="high")
    assert found(con, "highly-privileged-unverified-app").empty


def test_unverified_outside_app_with_medium_permission_is_no_finding(con):
    add(con, "app_inventory", **OUTSIDE)
    add(con, "app_permissions", privilege_level="medium")
    assert found(con, "highly-privileged-unverified-app").empty


def test_unverified_outside_app_needs_the_grants(con):
    cover(con, "delegated_grants", "not_permitted", "403 on /oauth2PermissionGrants.")
    with pytest.raises(UserError, match=r"delegated_grants is not permitted \(403 on /oauth2PermissionGrants\)"):
        found(con, "highly-privileged-unverified-app")


# user-consented-mail-access

MAIL = {"permission": "Mail.Read", "consent_type": "user", "consented_users": 3}


def test_mail_access_by_users_is_found(con):
    add(con, "app_inventory", **OUTSIDE)
    add(con, "app_permissions", **MAIL)
    add(con, "app_permissions", **{**MAIL, "permission": "MailboxSettings.Read", "consented_users": 2})
    row = one(con, "user-consented-mail-access")
    # Three users gave one scope, two the other; two may be among the three, so at least three people.
    assert (row["measure"], row["threshold"]) == (3, 1)
    assert row["reason"] == (
        "3 users gave an app of another tenant, whose publisher is not verified, access to mail: "
        "Mail.Read, MailboxSettings.Read."
    )


@pytest.mark.parametrize(
    ("app", "permission"),
    [
        ({}, {"permission": "Mailbox"}),
        ({}, {"permission": "User.Read"}),
        ({}, {"consent_type": "admin"}),
        ({}, {"permission_type": "application"}),
        ({"publisher_verified": True}, {}),
        ({"app_origin": "internal"}, {}),
        ({"status": "disabled_by_microsoft"}, {}),
        ({"is_first_party": True}, {}),
    ],
)
def test_mail_access_is_silent(con, app: dict[str, Any], permission: dict[str, Any]):
    add(con, "app_inventory", **{**OUTSIDE, **app})
    add(con, "app_permissions", **{**MAIL, **permission})
    assert found(con, "user-consented-mail-access").empty


def test_mail_access_needs_the_grants(con):
    cover(con, "delegated_grants", "failed")
    with pytest.raises(UserError, match="delegated_grants could not be read"):
        found(con, "user-consented-mail-access")


# grant-not-in-manifest


def test_grant_beyond_the_manifest_is_found(con):
    add(con, "app_inventory", permission_count=3)
    add(con, "app_permissions", **{**UNUSED, "in_manifest": False})
    add(con, "app_permissions", permission="Files.Read.All", privilege_level="medium", in_manifest=False)
    add(con, "app_permissions", permission="profile", privilege_level="low", in_manifest=False)  # asked at sign-in
    row = one(con, "grant-not-in-manifest")
    assert (row["measure"], row["threshold"]) == (2, 1)
    assert row["reason"] == (
        "2 of 3 granted permissions are not asked for by the app registration, 1 of them with high privilege: "
        "Mail.Read, Files.Read.All."
    )


def test_low_application_permission_beyond_the_manifest_is_found(con):
    add(con, "app_inventory")
    add(con, "app_permissions", permission_type="application", privilege_level="low", in_manifest=False)
    assert one(con, "grant-not-in-manifest")["measure"] == 1


@pytest.mark.parametrize(("app", "in_manifest"), [({}, True), ({}, None), ({"is_first_party": True}, False)])
def test_grant_in_the_manifest_is_silent(con, app: dict[str, Any], in_manifest: bool | None):
    add(con, "app_inventory", **app)
    add(con, "app_permissions", **{**UNUSED, "in_manifest": in_manifest})
    assert found(con, "grant-not-in-manifest").empty


def test_grant_beyond_the_manifest_needs_the_registrations(con):
    cover(con, "applications", "not_collected")
    with pytest.raises(UserError, match="applications is not collected"):
        found(con, "grant-not-in-manifest")


def test_one_kind_of_grant_is_enough_for_the_manifest(con):
    add(con, "app_inventory")
    add(con, "app_permissions", **{**UNUSED, "in_manifest": False})
    cover(con, "delegated_grants", "failed")
    assert len(found(con, "grant-not-in-manifest")) == 1
    cover(con, "app_role_assignments", "failed")
    with pytest.raises(UserError, match="cannot be judged"):
        found(con, "grant-not-in-manifest")


# ownerless-app


def test_privileged_app_without_owner_is_found(con):
    add(con, "app_inventory", owner_count=0, privilege_level="medium")
    row = one(con, "ownerless-app")
    assert (row["service_principal_id"], row["measure"], row["threshold"]) == (SP, 0, 1)
    assert row["reason"] == (
        "Neither the app registration nor the service principal has an owner, while the app holds 2 permissions with "
        "medium privilege as the highest level."
    )


@pytest.mark.parametrize(
    "app",
    [
        {"owner_count": 1},
        {"owner_count": None},
        {"privilege_level": "low"},
        {"privilege_level": "none"},
        {"app_origin": "external"},
        {"application_id": None},
        {"status": "disabled_by_user"},
        {"service_principal_type": "ManagedIdentity"},
    ],
)
def test_ownerless_is_silent(con, app: dict[str, Any]):
    add(con, "app_inventory", **{"owner_count": 0, "privilege_level": "high", **app})
    assert found(con, "ownerless-app").empty


@pytest.mark.parametrize("source", ["application_owners", "service_principal_owners"])
def test_ownerless_needs_all_owners(con, source: str):
    cover(con, source, "partial")
    with pytest.raises(UserError, match=f"{source} is read only in part"):
        found(con, "ownerless-app")
