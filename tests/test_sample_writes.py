"""The writable sample tenant: what it takes, what it refuses, and that undoing a change leaves no trace."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sample_tenant import rows

from appgov_lib.sample.tenant import Answer, Request, Tenant
from appgov_lib.sample.world import Size, default_users

LISTS = (
    "/v1.0/servicePrincipals?$top=999&$expand=owners",
    "/v1.0/applications?$top=999&$expand=owners",
    "/v1.0/applications?$top=999&$expand=federatedIdentityCredentials",
    "/v1.0/oauth2PermissionGrants?$top=999",
    "/v1.0/roleManagement/directory/roleAssignments",
)


@pytest.fixture(scope="module")
def tenant() -> Tenant:
    """A small tenant that takes changes."""
    return Tenant(7, Size(160, default_users(160)), writable=True)


def send(tenant: Tenant, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    """(status, decoded answer) of one request."""
    data = b"" if body is None else json.dumps(body).encode()
    answer: Answer = tenant.answer(Request(method, "v1.0", path, "", {}, data))
    return answer.status, json.loads(answer.body) if answer.body else None


def state(tenant: Tenant) -> list[Any]:
    """All that can be changed, as it is now."""
    found: list[Any] = [rows(url, of=tenant) for url in LISTS]
    graph = next(row["id"] for row in found[0] if row["appId"] == "00000003-0000-0000-c000-000000000000")
    found.append(rows(f"/v1.0/servicePrincipals/{graph}/appRoleAssignedTo?$top=999", of=tenant))
    found.append(send(tenant, "GET", "/policies/authorizationPolicy"))
    return found


def first(tenant: Tenant, url: str, **has: Any) -> dict[str, Any]:
    """The first row of a list in which these lists are not empty."""
    return next(row for row in rows(url, of=tenant) if all(row[name] for name in has))


def test_an_ordinary_tenant_takes_no_change():
    plain = Tenant(7, Size(160, default_users(160)))
    key = rows("/v1.0/servicePrincipals", of=plain)[20]["id"]
    assert send(plain, "PATCH", f"/servicePrincipals/{key}", {"accountEnabled": False})[0] == 405


def test_properties_are_written_and_written_back(tenant: Tenant):
    before = state(tenant)
    key = rows("/v1.0/servicePrincipals", of=tenant)[40]["id"]
    assert send(tenant, "PATCH", f"/servicePrincipals/{key}", {"accountEnabled": False}) == (204, None)
    assert send(tenant, "GET", f"/servicePrincipals/{key}")[1]["accountEnabled"] is False
    assert [r["id"] for r in rows("/v1.0/servicePrincipals?$top=999", of=tenant) if r.get("accountEnabled") is False]
    assert send(tenant, "PATCH", f"/servicePrincipals/{key}", {"appId": "x"})[0] == 400
    assert send(tenant, "PATCH", f"/servicePrincipals/{key}", {"accountEnabled": True})[0] == 204
    assert state(tenant) == before


def test_a_secret_goes_for_good(tenant: Tenant):
    app = first(tenant, "/v1.0/applications?$top=999", passwordCredentials=True)
    key = app["passwordCredentials"][0]["keyId"]
    path = f"/applications/{app['id']}/removePassword"
    assert send(tenant, "POST", path, {"keyId": key})[0] == 204
    assert send(tenant, "POST", path, {"keyId": key})[0] == 400
    left = send(tenant, "GET", f"/applications/{app['id']}")[1]["passwordCredentials"]
    assert left == app["passwordCredentials"][1:]


def test_certificates_are_a_list_that_is_written_whole(tenant: Tenant):
    before = state(tenant)
    app = first(tenant, "/v1.0/applications?$top=999", keyCredentials=True)
    path = f"/applications/{app['id']}"
    found = tenant.answer(Request("GET", "v1.0", path, "$select=id,keyCredentials"))
    keys = json.loads(found.body)["keyCredentials"]
    assert all(key["key"] for key in keys)
    assert send(tenant, "PATCH", path, {"keyCredentials": keys[1:]})[0] == 204
    assert send(tenant, "GET", path)[1]["keyCredentials"] == app["keyCredentials"][1:]
    assert send(tenant, "PATCH", path, {"keyCredentials": app["keyCredentials"]})[0] == 400  # without the key itself
    assert send(tenant, "PATCH", path, {"keyCredentials": keys})[0] == 204
    assert state(tenant) == before


def test_grants_are_cut_removed_and_made_again(tenant: Tenant):
    before = state(tenant)
    grant = next(row for row in rows("/v1.0/oauth2PermissionGrants?$top=999", of=tenant) if len(row["scope"]) > 20)
    path = f"/oauth2PermissionGrants/{grant['id']}"
    assert send(tenant, "PATCH", path, {"scope": "openid"})[0] == 204
    assert send(tenant, "GET", path)[1]["scope"] == "openid"
    assert send(tenant, "PATCH", path, {"scope": grant["scope"]})[0] == 204
    assert state(tenant) == before
    assert send(tenant, "POST", "/oauth2PermissionGrants", {k: grant[k] for k in grant if k != "id"})[0] == 409
    assert send(tenant, "DELETE", path)[0] == 204
    assert send(tenant, "GET", path)[0] == 404
    status, made = send(tenant, "POST", "/oauth2PermissionGrants", {k: grant[k] for k in grant if k != "id"})
    assert (status, made["id"] != grant["id"]) == (201, True)
    held = rows(f"/v1.0/servicePrincipals/{grant['clientId']}/oauth2PermissionGrants", of=tenant)
    assert {k: v for k, v in made.items() if k not in ("id", "@odata.context")} in [
        {k: v for k, v in row.items() if k != "id"} for row in held
    ]


def test_assignments_show_on_both_sides(tenant: Tenant):
    graph = first(tenant, "/v1.0/servicePrincipals?$top=999", appRoles=True)["id"]
    given = rows(f"/v1.0/servicePrincipals/{graph}/appRoleAssignedTo?$top=999", of=tenant)
    assignment = next(row for row in given if row["principalType"] == "ServicePrincipal")
    holder = f"/servicePrincipals/{assignment['principalId']}/appRoleAssignments"
    assert send(tenant, "DELETE", f"{holder}/{assignment['id']}")[0] == 204
    assert len(rows(f"/v1.0/servicePrincipals/{graph}/appRoleAssignedTo?$top=999", of=tenant)) == len(given) - 1
    body = {name: assignment[name] for name in ("principalId", "resourceId", "appRoleId")}
    assert send(tenant, "POST", holder, body)[0] == 201
    assert send(tenant, "POST", holder, body)[0] == 400
    again = rows(f"/v1.0/servicePrincipals/{graph}/appRoleAssignedTo?$top=999", of=tenant)
    assert sorted(row["appRoleId"] for row in again) == sorted(row["appRoleId"] for row in given)


def test_owners_federation_roles_and_policies(tenant: Tenant):
    app = next(row for row in rows("/v1.0/applications?$top=999&$expand=owners", of=tenant) if row["owners"])
    owner = app["owners"][0]["id"]
    before = state(tenant)
    owners = f"/applications/{app['id']}/owners"
    assert send(tenant, "DELETE", f"{owners}/{owner}/$ref")[0] == 204
    assert state(tenant) != before
    assert send(tenant, "POST", f"{owners}/$ref", {"@odata.id": f"https://x/v1.0/directoryObjects/{owner}"})[0] == 204
    assert state(tenant) == before
    policy = {"defaultUserRolePermissions": {"allowedToCreateApps": False}}
    assert send(tenant, "PATCH", "/policies/authorizationPolicy", policy)[0] == 204
    found = send(tenant, "GET", "/policies/authorizationPolicy")[1]["defaultUserRolePermissions"]
    assert (found["allowedToCreateApps"], len(found)) == (False, 6)
    role = rows("/v1.0/roleManagement/directory/roleAssignments", of=tenant)[0]
    assert send(tenant, "DELETE", f"/roleManagement/directory/roleAssignments/{role['id']}")[0] == 204
    body = {name: role[name] for name in ("principalId", "roleDefinitionId", "directoryScopeId")}
    assert send(tenant, "POST", "/roleManagement/directory/roleAssignments", body)[0] == 201
    expanded = rows("/v1.0/applications?$top=999&$expand=federatedIdentityCredentials", of=tenant)
    trusting = next(row for row in expanded if row["federatedIdentityCredentials"])
    path = f"/applications/{trusting['id']}/federatedIdentityCredentials"
    credential = trusting["federatedIdentityCredentials"][0]
    assert send(tenant, "GET", f"{path}/{credential['id']}")[1]["subject"] == credential["subject"]
    assert send(tenant, "DELETE", f"{path}/{credential['id']}")[0] == 204
    assert send(tenant, "GET", f"{path}/{credential['id']}")[0] == 404
    assert send(tenant, "POST", path, {k: v for k, v in credential.items() if k != "id"})[0] == 201
