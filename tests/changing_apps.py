"""One action of every kind that is about an app as a whole, against the writable sample tenant, and what to compare."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from changing import _registered, first, rows, state

from appgov_lib.actions import app_requests
from appgov_lib.actions.chosen import Part, Planned
from appgov_lib.actions.requests import Change
from appgov_lib.sample import SampleTenant

ABUSED = "4761b959-9780-4c2d-87a3-512b4638f767"
"""An app known from attacks that the sample tenant does not have."""


def whole(tenant: SampleTenant, ids: bool = False) -> dict[str, list[str]]:
    """`changing.state`, and what only these kinds change."""
    lists = {
        "deletedApplications": "/v1.0/directory/deletedItems/microsoft.graph.application",
        "deletedServicePrincipals": "/v1.0/directory/deletedItems/microsoft.graph.servicePrincipal",
        "risky": "/v1.0/identityProtection/riskyServicePrincipals",
        "access": "/v1.0/identity/conditionalAccess/policies",
    }
    found = {name: [json.dumps(row) for row in rows(tenant, path)] for name, path in lists.items()}
    made_again = () if ids else ("id", "createdDateTime")
    people = [
        json.dumps({key: value for key, value in row.items() if key not in made_again}, sort_keys=True)
        for sp in rows(tenant, "/v1.0/servicePrincipals?$top=999&$select=id,verifiedPublisher")
        if (sp.get("verifiedPublisher") or {}).get("displayName")
        for row in rows(tenant, f"/v1.0/servicePrincipals/{sp['id']}/appRoleAssignedTo")
    ]
    return {**state(tenant, ids), **found, "people": people if ids else sorted(people)}


def _own(tenant: SampleTenant, wanted: Callable[[dict[str, Any]], Any] = lambda row: True) -> tuple[Any, Any]:
    """(registration, service principal) of an app of the tenant's own."""
    found: tuple[Any, Any] = _registered(tenant, wanted)
    return found


def remove_reply_urls(tenant: SampleTenant) -> tuple[Change, Any]:
    """An address goes, on whichever platform it stands."""
    app, sp = _own(tenant, lambda row: row["web"]["redirectUris"])
    held = {name: (app.get(name) or {}).get("redirectUris", []) for name in app_requests.PLATFORMS}
    return app_requests.cut_reply_urls(app["id"], held, frozenset(held["web"][:1])), sp


def trim_manifest(tenant: SampleTenant) -> tuple[Change, Any]:
    """A permission is no longer asked for."""
    app, sp = _own(tenant, lambda row: row["requiredResourceAccess"])
    asked = app["requiredResourceAccess"]
    gone = frozenset({(asked[0]["resourceAppId"], asked[0]["resourceAccess"][0]["id"])})
    return app_requests.trim_manifest(app["id"], asked, gone), sp


def deactivate_registration(tenant: SampleTenant) -> tuple[Change, Any]:
    """A registration is deactivated in all tenants."""
    app, sp = _own(tenant)
    return app_requests.deactivate_registration(app["id"], app.get("isDisabled")), sp


def block_app(tenant: SampleTenant) -> tuple[Change, Any]:
    """An app that is not here gets a disabled service principal."""
    return app_requests.block_app(ABUSED), {"appId": ABUSED, "id": ""}


def confirm_compromised(tenant: SampleTenant) -> tuple[Change, Any]:
    """An app at risk is confirmed as compromised."""
    risky = first(
        rows(tenant, "/v1.0/identityProtection/riskyServicePrincipals"), lambda row: row["riskState"] == "atRisk"
    )
    return app_requests.confirm_compromised(risky["id"], "atRisk"), risky


def dismiss_risk(tenant: SampleTenant) -> tuple[Change, Any]:
    """The risk of an app is dismissed."""
    _, risky = confirm_compromised(tenant)
    return app_requests.dismiss_risk(risky["id"], "atRisk"), risky


def delete_app(tenant: SampleTenant) -> tuple[Change, Any]:
    """A service principal that holds nothing is deleted."""
    graph = {row["clientId"] for row in rows(tenant, "/v1.0/oauth2PermissionGrants?$top=999")}
    found = first(
        rows(tenant, "/v1.0/servicePrincipals?$top=999"),
        lambda row: (
            row.get("servicePrincipalType") == "Application"
            and row["id"] not in graph
            and (row.get("verifiedPublisher") or {}).get("displayName")
            and not rows(tenant, f"/v1.0/servicePrincipals/{row['id']}/appRoleAssignments")
        ),
    )
    return app_requests.delete_object("servicePrincipals", found["id"], found["appId"]), found


def delete_registration(tenant: SampleTenant) -> tuple[Change, Any]:
    """A registration without a service principal is deleted."""
    here = {row["appId"] for row in rows(tenant, "/v1.0/servicePrincipals?$top=999")}
    listed = rows(tenant, "/v1.0/applications?$top=999")
    app = first(listed, lambda row: row["appId"] not in here)
    return app_requests.delete_object("applications", app["id"], app["appId"]), {"appId": app["appId"], "id": ""}


def purge_app(tenant: SampleTenant) -> tuple[Change, Any]:
    """A deleted app goes for good."""
    gone = rows(tenant, "/v1.0/directory/deletedItems/microsoft.graph.servicePrincipal")[0]
    return app_requests.purge_object(gone["id"], gone["appId"]), gone


def remove_user_assignment(tenant: SampleTenant) -> tuple[Change, Any]:
    """A person is taken off an app."""
    for sp in rows(tenant, "/v1.0/servicePrincipals?$top=999"):
        if (sp.get("verifiedPublisher") or {}).get("displayName"):
            for row in rows(tenant, f"/v1.0/servicePrincipals/{sp['id']}/appRoleAssignedTo"):
                if row["principalType"] == "User":
                    names = {"assignment_id": "id", "principal_id": "principalId", "resource_id": "resourceId"}
                    held = {**{ours: row[theirs] for ours, theirs in names.items()}, "app_role_id": row["appRoleId"]}
                    return app_requests.unassign(held), sp
    raise AssertionError("nobody is assigned")


def limit_sign_in(tenant: SampleTenant) -> tuple[Change, Any]:
    """A workload identity gets a Conditional Access policy that only reports."""
    _, sp = _own(tenant, lambda row: row["signInAudience"] == "AzureADMyOrg")
    return app_requests.limit_sign_in(sp["id"]), sp


APP_KINDS: Mapping[str, Callable[[SampleTenant], tuple[Change, Any]]] = {
    "remove_reply_urls": remove_reply_urls,
    "trim_manifest": trim_manifest,
    "deactivate_registration": deactivate_registration,
    "block_app": block_app,
    "confirm_compromised": confirm_compromised,
    "dismiss_risk": dismiss_risk,
    "limit_sign_in": limit_sign_in,
    "remove_user_assignment": remove_user_assignment,
    "delete_app": delete_app,
    "delete_app, registration": delete_registration,
    "purge_app": purge_app,
}
STAYS = {"block_app": {"deletedServicePrincipals"}, "confirm_compromised": {"risky"}}
"""What is not as before after undoing a kind, because Graph has no way back: a deleted object, a dismissed risk."""
FOR_GOOD = ("dismiss_risk", "purge_app")
"""Kinds that nothing undoes."""


def action_of(kind: str, made: tuple[Change, Any]) -> Planned:
    """One action of one request."""
    wanted, app = made
    return Planned(
        action_id=f"id-{kind}",
        action_type=kind.split(",")[0],
        title=f"Try {kind}",
        app_id=app["appId"],
        service_principal_id=app["id"],
        disposition="needs_review",
        finding_ids=("f1",),
        parts=(Part(wanted.request, wanted.state),),
    )
