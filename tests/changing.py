"""A sample tenant that takes changes, its whole state over HTTP, and one action of every kind against it."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from reading_http import get, rows

from appgov_lib.actions import requests
from appgov_lib.actions.chosen import Part, Planned
from appgov_lib.actions.requests import Change
from appgov_lib.sample import SampleTenant
from appgov_lib.settings import Settings

NOON = datetime(2026, 11, 16, 12, tzinfo=UTC).replace(tzinfo=None)
GRAPH_APP = "00000003-0000-0000-c000-000000000000"
MADE_AGAIN = frozenset(
    {"oauth2PermissionGrants", "appRoleAssignedTo", "federatedIdentityCredentials", "roleAssignments"}
)
"""Lists whose objects come back under a new id."""


def change(tenant: SampleTenant, method: str, path: str, body: Any = None) -> None:
    """What somebody else does to the tenant meanwhile."""
    headers = {"Authorization": f"Bearer {tenant.write_token}"}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{tenant.endpoint}/v1.0{path}", data=data, headers=headers, method=method)
    urllib.request.urlopen(request, timeout=30).close()


def state(tenant: SampleTenant, ids: bool = False) -> dict[str, list[str]]:
    """Everything that an action may change, as JSON texts; without the ids and dates that Graph makes anew."""
    graph = service_principal(tenant, GRAPH_APP)["id"]
    lists = {
        "servicePrincipals": "/v1.0/servicePrincipals?$top=999",
        "applications": "/v1.0/applications?$top=999&$expand=owners",
        "federatedIdentityCredentials": "/v1.0/applications?$top=999&$select=id&$expand=federatedIdentityCredentials",
        "oauth2PermissionGrants": "/v1.0/oauth2PermissionGrants?$top=999",
        "appRoleAssignedTo": f"/v1.0/servicePrincipals/{graph}/appRoleAssignedTo?$top=999",
        "alerts": "/v1.0/security/alerts_v2",
        "roleAssignments": "/v1.0/roleManagement/directory/roleAssignments",
    }
    found = {name: [_text(name, row, ids) for row in rows(tenant, path)] for name, path in lists.items()}
    found["policy"] = [json.dumps(get(tenant, "/v1.0/policies/authorizationPolicy"))]
    return {name: texts if name not in MADE_AGAIN or ids else sorted(texts) for name, texts in found.items()}


def _text(name: str, row: dict[str, Any], ids: bool) -> str:
    """One row as text."""
    if name == "federatedIdentityCredentials" and not ids:
        held = [{k: v for k, v in each.items() if k != "id"} for each in row[name]]
        row = {**row, name: sorted(held, key=json.dumps)}
    elif name in MADE_AGAIN and not ids:
        row = {key: value for key, value in row.items() if key not in ("id", "createdDateTime")}
    return json.dumps(row, sort_keys=name in MADE_AGAIN and not ids)


def service_principal(tenant: SampleTenant, app_id: str) -> dict[str, Any]:
    """One service principal."""
    found: dict[str, Any] = get(tenant, f"/v1.0/servicePrincipals(appId='{app_id}')")
    return found


def first(found: list[dict[str, Any]], wanted: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    """The first row that is wanted."""
    return next(row for row in found if wanted(row))


def _registered(tenant: SampleTenant, wanted: Callable[[dict[str, Any]], Any], expand: str = "owners") -> Any:
    """(registration, its service principal) of an app of the tenant's own."""
    listed = rows(tenant, f"/v1.0/applications?$top=999&$expand={expand}")
    app = first([row for row in listed if not row["displayName"].startswith("Abandoned")], wanted)
    return app, service_principal(tenant, app["appId"])


def _grant(tenant: SampleTenant, kind: str) -> dict[str, Any]:
    """A delegated grant as the warehouse knows it."""
    listed = rows(tenant, "/v1.0/oauth2PermissionGrants?$top=999")
    row = first(listed, lambda row: row["consentType"] == kind and len(row["scope"].split()) > 1)
    names = {"grant_id": "id", "service_principal_id": "clientId", "resource_id": "resourceId"}
    names |= {"consent_type": "consentType", "principal_id": "principalId"}
    return {**{ours: row[theirs] for ours, theirs in names.items()}, "scopes": sorted(row["scope"].split())}


def _by_id(tenant: SampleTenant, key: str) -> dict[str, Any]:
    """A service principal by its object id."""
    found: dict[str, Any] = get(tenant, f"/v1.0/servicePrincipals/{key}")
    return found


def disable_sign_in(tenant: SampleTenant) -> tuple[Change, Any]:
    """Disable an app."""
    _, sp = _registered(tenant, lambda row: True)
    return requests.disable_sign_in(sp["id"], True), sp


def cut_scopes(tenant: SampleTenant) -> tuple[Change, Any]:
    """One scope goes, the others stay."""
    grant = _grant(tenant, "AllPrincipals")
    sp = _by_id(tenant, grant["service_principal_id"])
    return requests.cut_scopes(grant, frozenset(grant["scopes"][:1])), sp


def remove_grant(tenant: SampleTenant) -> tuple[Change, Any]:
    """A whole grant of one user goes."""
    grant = _grant(tenant, "Principal")
    sp = _by_id(tenant, grant["service_principal_id"])
    return requests.cut_scopes(grant, frozenset(grant["scopes"])), sp


def remove_app_role(tenant: SampleTenant) -> tuple[Change, Any]:
    """An application permission goes."""
    graph = service_principal(tenant, GRAPH_APP)["id"]
    given = rows(tenant, f"/v1.0/servicePrincipals/{graph}/appRoleAssignedTo?$top=999")
    row = first(given, lambda row: row["principalType"] == "ServicePrincipal")
    names = {"assignment_id": "id", "service_principal_id": "principalId", "resource_id": "resourceId"}
    held = {**{ours: row[theirs] for ours, theirs in names.items()}, "app_role_id": row["appRoleId"]}
    return requests.remove_app_role(held), _by_id(tenant, row["principalId"])


def remove_secret(tenant: SampleTenant) -> tuple[Change, Any]:
    """A secret goes for good."""
    app, sp = _registered(tenant, lambda row: row["passwordCredentials"])
    return requests.remove_secret("application", app["id"], app["passwordCredentials"][0]["keyId"]), sp


def remove_certificate(tenant: SampleTenant) -> tuple[Change, Any]:
    """A certificate goes."""
    app, sp = _registered(tenant, lambda row: row["keyCredentials"])
    keys = app["keyCredentials"]
    return requests.remove_certificate("application", app["id"], [keys[0]["keyId"]], keys), sp


def remove_federated(tenant: SampleTenant) -> tuple[Change, Any]:
    """A federated credential goes."""
    listed = "federatedIdentityCredentials"
    app, sp = _registered(tenant, lambda row: row[listed], listed)
    known = {key: value for key, value in app[listed][0].items() if key != "id"}
    return requests.remove_federated(app["id"], app[listed][0]["id"], known), sp


def add_owner(tenant: SampleTenant) -> tuple[Change, Any]:
    """A person becomes an owner."""
    app, sp = _registered(tenant, lambda row: row["owners"])
    owned = {owner["id"] for owner in app["owners"]}
    person = first(rows(tenant, "/v1.0/users?$top=50"), lambda row: row["id"] not in owned)
    return requests.add_owner(app["id"], person["id"]), sp


def remove_owner(tenant: SampleTenant) -> tuple[Change, Any]:
    """An owner goes."""
    app, sp = _registered(tenant, lambda row: row["owners"])
    return requests.remove_owner(app["id"], app["owners"][0]["id"]), sp


def require_assignment(tenant: SampleTenant) -> tuple[Change, Any]:
    """Users have to be assigned."""
    sp = first(rows(tenant, "/v1.0/servicePrincipals?$top=999"), lambda row: row.get("verifiedPublisher", {})
               and row["verifiedPublisher"]["displayName"] and row["appRoleAssignmentRequired"] is False)  # fmt: skip
    return requests.require_assignment(sp["id"], False), sp


def lock_properties(tenant: SampleTenant) -> tuple[Change, Any]:
    """The registration gets a property lock."""
    app, sp = _registered(tenant, lambda row: True)
    return requests.lock_properties(app["id"], None), sp


def remove_directory_role(tenant: SampleTenant) -> tuple[Change, Any]:
    """A directory role of an app goes."""
    held = rows(tenant, "/v1.0/roleManagement/directory/roleAssignments")
    apps = {row["id"]: row for row in rows(tenant, "/v1.0/servicePrincipals?$top=999")}
    row = first(held, lambda row: row["principalId"] in apps)
    names = {"assignment_id": "id", "principal_id": "principalId", "role_definition_id": "roleDefinitionId"}
    known = {**{ours: row[theirs] for ours, theirs in names.items()}, "scope": row["directoryScopeId"]}
    return requests.remove_directory_role(known), apps[row["principalId"]]


def change_setting(tenant: SampleTenant) -> tuple[Change, Any]:
    """Users may consent to nothing any more."""
    policy = get(tenant, "/v1.0/policies/authorizationPolicy")["defaultUserRolePermissions"]
    name = "permissionGrantPoliciesAssigned"
    before = {"defaultUserRolePermissions": {name: policy[name]}}
    return requests.write_authorization_policy({"defaultUserRolePermissions": {name: policy[name][1:]}}, before), None


def take_up_alerts(tenant: SampleTenant) -> tuple[Change, Any]:
    """An alert is marked as being worked on."""
    alert = first(rows(tenant, "/v1.0/security/alerts_v2"), lambda row: row["status"] == "new")
    return requests.take_up_alert(alert["id"]), None


KINDS: Mapping[str, Callable[[SampleTenant], tuple[Change, Any]]] = {
    "disable_sign_in": disable_sign_in,
    "remove_scopes": cut_scopes,
    "remove_scopes, whole grant": remove_grant,
    "remove_app_role": remove_app_role,
    "remove_credential, certificate": remove_certificate,
    "remove_federated_credential": remove_federated,
    "add_owner": add_owner,
    "remove_owner": remove_owner,
    "require_assignment": require_assignment,
    "lock_properties": lock_properties,
    "remove_directory_role": remove_directory_role,
    "change_setting": change_setting,
    "take_up_alerts": take_up_alerts,
    "remove_credential, secret": remove_secret,
}


def planned(kind: str, made: tuple[Change | list[Change], Any]) -> Planned:
    """One action of one request or several."""
    wanted, app = made
    changes = wanted if isinstance(wanted, list) else [wanted]
    return Planned(
        action_id=f"id-{kind}",
        action_type=kind.split(",")[0],
        title=f"Try {kind}",
        app_id=app["appId"] if app else "",
        service_principal_id=app["id"] if app else "",
        disposition="safe",
        finding_ids=("f1",),
        parts=tuple(Part(each.request, each.state) for each in changes),
    )


def clock() -> datetime:
    """The time of every line."""
    return NOON


def settings(tenant: SampleTenant, home: Path) -> Settings:
    """Settings that point at the tenant."""
    return Settings(home=home, endpoint=tenant.endpoint)
