"""Staging of state sources: one clean row per object, whatever a record lacks or adds."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from conftest import Bench

STATE = {
    "organization": "stg_organization",
    "service_principals": "stg_service_principals",
    "applications": "stg_applications",
    "delegated_grants": "stg_delegated_grants",
    "app_role_assignments": "stg_app_role_assignments",
    "service_principal_owners": "stg_owners",
    "application_owners": "stg_owners",
    "directory_role_assignments": "stg_directory_role_assignments",
    "directory_role_definitions": "stg_directory_role_assignments",
    "users": "stg_users",
    "service_principal_sign_in_activities": "stg_service_principal_sign_in_activities",
    "credential_sign_in_activities": "stg_credential_sign_in_activities",
}
ODD: list[Any] = [
    {},
    {"id": None, "appId": None, "displayName": None, "owners": None, "replyUrls": None},
    {"id": "ODD-1", "unknownField": {"deep": [1, {"x": None}]}},
    {"id": "odd-2", "displayName": {"an": "object"}, "owners": "text", "replyUrls": {"no": "list"}, "tags": [None, 1]},
    {"id": "odd-3", "owners": [None, 5, {"id": None}, {"id": "U1"}], "appRoles": [None, {"id": None}], "scope": ["a"]},
    {"id": "odd-4", "createdDateTime": "yesterday", "accountEnabled": "perhaps", "verifiedPublisher": "someone"},
    "null",
    "[1, 2]",
    '"text"',
    '{"id": "cut off',
]


@pytest.mark.parametrize(("bucket", "table"), STATE.items())
def test_no_odd_record_breaks_a_build(bench: Bench, bucket: str, table: str) -> None:
    if table == "stg_app_role_assignments":
        bench.empty("stg_service_principals", "permission_definitions")
    bench.raw(bucket, ODD)
    rows = bench.run(table)
    key = bench.models[table].key
    assert len({tuple(row[column] for column in key) for row in rows}) == len(rows)
    assert all(row[column] is not None for row in rows for column in key)


@pytest.mark.parametrize("table", sorted({*STATE.values()}))
def test_columns_are_those_of_the_catalogue(bench: Bench, table: str) -> None:
    if table == "stg_app_role_assignments":
        bench.empty("stg_service_principals", "permission_definitions")
    bench.run(table)
    found = [row["column_name"] for row in bench.rows(f"DESCRIBE {table}")]
    assert found == list(bench.models[table].columns)


def test_service_principal(bench: Bench) -> None:
    bench.raw(
        "service_principals",
        [
            {
                "id": "AAAAAAAA-0000-0000-0000-000000000001",
                "appId": "BBBBBBBB-0000-0000-0000-000000000001",
                "displayName": "Mäil‮ <b>x</b>",
                "accountEnabled": True,
                "createdDateTime": "2026-01-31T23:30:00.1234567-02:00",
                "appOwnerOrganizationId": "00000000-0000-0000-0000-000000000000",
                "verifiedPublisher": {"displayName": None, "verifiedPublisherId": None, "addedDateTime": None},
                "replyUrls": ["https://a.example/cb", None],
                "appRoles": [{"id": "r1", "value": "Data.Read"}],
            },
            {"id": "aaaaaaaa-0000-0000-0000-000000000001", "displayName": None},
        ],
    )
    (row,) = bench.run("stg_service_principals")
    assert row["service_principal_id"] == "aaaaaaaa-0000-0000-0000-000000000001"
    assert row["app_id"] == "bbbbbbbb-0000-0000-0000-000000000001"
    assert row["display_name"] == "Mäil‮ <b>x</b>"  # hostile text arrives as it is; escaping is the report's work
    assert row["account_enabled"] is True
    assert row["created_at"] == datetime(2026, 2, 1, 1, 30, 0, 123456)  # 23:30 two hours west is 01:30 UTC
    assert row["app_owner_tenant_id"] is None  # all zeros: nobody
    assert row["verified_publisher_id"] is None
    assert row["reply_urls"] == ["https://a.example/cb"]


def test_grant_scopes_are_split_sorted_and_unique(bench: Bench) -> None:
    bench.raw(
        "delegated_grants",
        [
            {"id": "aB", "clientId": "C1", "resourceId": "R1", "consentType": "Principal", "principalId": "U1",
             "scope": " User.Read  Mail.Read User.Read"},
            {"id": "AB", "clientId": "C1", "resourceId": "R1", "consentType": "AllPrincipals", "scope": ""},
        ],
    )  # fmt: skip
    rows = bench.run("stg_delegated_grants")
    assert [row["grant_id"] for row in rows] == ["AB", "aB"]  # ids differ by case only: two grants
    assert [row["scopes"] for row in rows] == [[], ["Mail.Read", "User.Read"]]
    assert [row["principal_id"] for row in rows] == [None, "u1"]


def test_role_names_come_from_the_resource(bench: Bench) -> None:
    bench.raw(
        "service_principals",
        [
            {"id": "graph", "appRoles": [{"id": "R-1", "value": "Mail.Read"}],
             "oauth2PermissionScopes": [{"id": "s-1", "value": "Mail.Read"}]},
            {"id": "client"},
        ],
    )  # fmt: skip
    bench.raw(
        "app_role_assignments",
        [
            {"id": "a1", "principalId": "client", "principalType": "ServicePrincipal", "resourceId": "graph",
             "appRoleId": "r-1", "createdDateTime": "2026-02-01T00:00:00Z"},
            {"id": "a2", "principalId": "client", "resourceId": "graph",
             "appRoleId": "00000000-0000-0000-0000-000000000000"},
            {"id": "a3", "principalId": "client", "resourceId": "gone", "appRoleId": "r-1"},
        ],
    )  # fmt: skip
    bench.run("stg_service_principals")
    assert len(bench.run("permission_definitions")) == 2
    rows = bench.run("stg_app_role_assignments")
    assert [(row["app_role_id"], row["permission"]) for row in rows] == [
        ("r-1", "Mail.Read"),
        (None, None),  # default access, no role
        ("r-1", None),  # the resource is not there to tell
    ]


def test_owners_of_both_kinds(bench: Bench) -> None:
    owner = {"@odata.type": "#microsoft.graph.user", "id": "U1", "displayName": "Ada", "accountEnabled": False}
    machine = {"@odata.type": "#microsoft.graph.servicePrincipal", "id": "S9", "displayName": "Pipeline"}
    bench.raw("service_principal_owners", [{"id": "s1", "appId": "a1", "owners": [owner, owner, machine]}])
    bench.raw("application_owners", [{"id": "o1", "appId": "a1", "owners": []}, {"id": "o2", "owners": [owner]}])
    rows = bench.run("stg_owners")
    assert [(r["object_kind"], r["object_id"], r["owner_id"], r["owner_type"], r["owner_enabled"]) for r in rows] == [
        ("application", "o2", "u1", "user", False),
        ("service_principal", "s1", "s9", "service_principal", None),
        ("service_principal", "s1", "u1", "user", False),
    ]


def test_privileged_roles_are_known_without_the_beta_field(bench: Bench) -> None:
    bench.raw(
        "directory_role_assignments",
        [{"id": "x-1", "principalId": "S1", "roleDefinitionId": "62E90394-69f5-4237-9190-012177145e10",
          "directoryScopeId": "/"},
         {"id": "x-2", "principalId": "S1", "roleDefinitionId": "custom"}],
    )  # fmt: skip
    bench.raw("directory_role_definitions", [{"id": "custom", "displayName": "Our role"}])
    rows = bench.run("stg_directory_role_assignments")
    assert [(r["role_name"], r["is_privileged"]) for r in rows] == [("Global Administrator", True), ("Our role", None)]


def test_odd_published_time_is_read_as_utc(bench: Bench) -> None:
    bench.raw(
        "credential_sign_in_activities",
        [{"appId": "A", "keyId": "K", "expirationDate": "2021-04-01T21:36:48-8:00",
          "signInActivity": {"lastSignInDateTime": "2021-03-18T00:00:00Z"}},
         {"appId": "a", "keyId": "k", "signInActivity": {"lastSignInDateTime": None}}],
    )  # fmt: skip
    (row,) = bench.run("stg_credential_sign_in_activities")
    assert row["expires_at"] == datetime(2021, 4, 2, 5, 36, 48)  # 21:36 + 8 h
    assert row["last_sign_in_at"] == datetime(2021, 3, 18)


def test_organization_default_domain(bench: Bench) -> None:
    bench.raw(
        "organization",
        [{"id": "T", "verifiedDomains": [{"name": "A.onmicrosoft.example"}, {"name": "b.example", "isDefault": True}],
          "assignedPlans": [{"capabilityStatus": "Deleted", "servicePlanId": "p0"},
                            {"capabilityStatus": "Enabled", "servicePlanId": "p1"}]}],
    )  # fmt: skip
    (row,) = bench.run("stg_organization")
    assert (row["tenant_id"], row["default_domain"], row["plans"]) == ("t", "b.example", ["p1"])
    assert row["verified_domains"] == ["a.onmicrosoft.example", "b.example"]
