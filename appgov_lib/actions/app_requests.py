"""Requests about an app as a whole: reply addresses, its manifest, its risk, blocking, deactivating, deleting it.

Each is built together with its undo and the permission it needs, as in `requests`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from appgov_lib.actions.requests import APPLICATION_WRITE, ASSIGNMENT_WRITE, Change, Request

RISK_WRITE = "IdentityRiskyServicePrincipal.ReadWrite.All"
ACCESS_WRITE = "Policy.ReadWrite.ConditionalAccess"
ACCESS = "/v1.0/identity/conditionalAccess/policies"
RISKY = "/v1.0/identityProtection/riskyServicePrincipals"
BIN = "/v1.0/directory/deletedItems"
REPORT_ONLY = "enabledForReportingButNotEnforced"
PLATFORMS = ("web", "spa", "publicClient")
"""Where a registration keeps its reply addresses."""
OURS = "appgov: "
"""How the names of Conditional Access policies begin that an action makes; no other one is removed."""


def _path(*parts: str) -> str:
    """A v1.0 path of these parts, each percent-encoded."""
    return "/v1.0/" + "/".join(quote(part, safe="") for part in parts)


def cut_reply_urls(application_id: str, held: Mapping[str, Sequence[str]], remove: frozenset[str]) -> Change:
    """Write the lists of reply addresses without some of them; `held` are the addresses by platform."""
    path = _path("applications", application_id)
    touched = [platform for platform in PLATFORMS if remove & set(held.get(platform, ()))]
    stays = {name: {"redirectUris": [url for url in held[name] if url not in remove]} for name in touched}
    before = {name: {"redirectUris": list(held[name])} for name in touched}
    return Change(
        Request("PATCH", path, stays),
        Request("PATCH", path, before),
        "The registration has its reply addresses again, in their order.",
        APPLICATION_WRITE,
        before,
    )


def trim_manifest(
    application_id: str, asked: Sequence[Mapping[str, Any]], remove: frozenset[tuple[str, str]]
) -> Change:
    """Write what a registration asks for without some permissions: (app id of the API, id of the permission)."""
    path = _path("applications", application_id)
    stays = []
    for api in asked:
        key = str(api.get("resourceAppId")).lower()
        left = [each for each in api.get("resourceAccess") or () if (key, str(each.get("id")).lower()) not in remove]
        if left:
            stays.append({**api, "resourceAccess": left})
    before = {"requiredResourceAccess": [dict(api) for api in asked]}
    return Change(
        Request("PATCH", path, {"requiredResourceAccess": stays}),
        Request("PATCH", path, before),
        "The registration asks for the same permissions again.",
        APPLICATION_WRITE,
        before,
    )


def deactivate_registration(application_id: str, disabled: bool | None = None) -> Change:
    """Stop new tokens for an app of this tenant in every tenant; `disabled` is what is known of it."""
    path = _path("applications", application_id)
    return Change(
        Request("PATCH", path, {"isDisabled": True}),
        Request("PATCH", path, {"isDisabled": False}),
        "The app gets tokens again.",
        APPLICATION_WRITE,
        {} if disabled is None else {"isDisabled": disabled},
    )


def block_app(app_id: str) -> Change:
    """Make a disabled service principal for an app that has none here, so that nobody can consent to it."""
    return Change(
        Request("POST", "/v1.0/servicePrincipals", {"appId": app_id, "accountEnabled": False}),
        Request("DELETE", f"/v1.0/servicePrincipals(appId='{app_id}')"),
        "The service principal goes; for 30 days it stays among the deleted ones.",
        APPLICATION_WRITE,
        {},
    )


def confirm_compromised(service_principal_id: str, risk_state: str = "") -> Change:
    """Tell Microsoft that an app is compromised; `risk_state` is what is known of it."""
    body = {"servicePrincipalIds": [service_principal_id]}
    return Change(
        Request("POST", f"{RISKY}/confirmCompromised", body),
        Request("POST", f"{RISKY}/dismiss", body),
        "The risk is dismissed: Microsoft has no way back to 'at risk'.",
        RISK_WRITE,
        {"riskState": risk_state} if risk_state else {},
    )


def dismiss_risk(service_principal_id: str, risk_state: str = "") -> Change:
    """Tell Microsoft that the risk of an app is dealt with; `risk_state` is what is known of it."""
    return Change(
        Request("POST", f"{RISKY}/dismiss", {"servicePrincipalIds": [service_principal_id]}),
        None,
        "A dismissed risk does not come back; confirm the app as compromised if it was wrong.",
        RISK_WRITE,
        {"riskState": risk_state} if risk_state else {},
    )


def delete_object(kind: str, object_id: str, app_id: str) -> Change:
    """Delete a service principal or registration; `kind` is servicePrincipals or applications."""
    return Change(
        Request("DELETE", _path(kind, object_id)),
        Request("POST", f"{BIN}/{quote(object_id, safe='')}/restore", {}),
        "It can be restored for 30 days, under the same id.",
        APPLICATION_WRITE,
        {"appId": app_id, "deleted": False},
    )


def restore_object(object_id: str, app_id: str) -> Change:
    """Bring a deleted service principal or registration back."""
    return Change(
        Request("POST", f"{BIN}/{quote(object_id, safe='')}/restore", {}),
        Request("DELETE", _path("servicePrincipals", object_id)),
        "It is deleted again.",
        APPLICATION_WRITE,
        {"appId": app_id, "deleted": True},
    )


def purge_object(object_id: str, app_id: str) -> Change:
    """Delete for good what was deleted before."""
    return Change(
        Request("DELETE", f"{BIN}/{quote(object_id, safe='')}"),
        None,
        "Nothing brings it back; the app has to be registered or consented to anew.",
        APPLICATION_WRITE,
        {"appId": app_id, "deleted": True},
    )


def unassign(assignment: Mapping[str, Any]) -> Change:
    """Take a user or group off an app; `assignment` has assignment_id, principal_id, resource_id and app_role_id."""
    app = str(assignment["resource_id"])
    made = {
        "principalId": assignment["principal_id"],
        "resourceId": app,
        "appRoleId": assignment["app_role_id"],
    }
    return Change(
        Request("DELETE", _path("servicePrincipals", app, "appRoleAssignedTo", str(assignment["assignment_id"]))),
        Request("POST", _path("servicePrincipals", app, "appRoleAssignedTo"), made),
        "The assignment returns under a new id.",
        ASSIGNMENT_WRITE,
        made,
    )


def limit_sign_in(service_principal_id: str) -> Change:
    """A Conditional Access policy that blocks an app while Microsoft holds it to be at risk, first as a report only."""
    body = {
        "displayName": f"{OURS}block a workload identity at risk, {service_principal_id}",
        "state": REPORT_ONLY,
        "conditions": {
            "clientAppTypes": ["all"],
            "applications": {"includeApplications": ["All"]},
            "clientApplications": {"includeServicePrincipals": [service_principal_id]},
            "servicePrincipalRiskLevels": ["high", "medium"],
        },
        "grantControls": {"operator": "OR", "builtInControls": ["block"]},
    }
    return Change(
        Request("POST", ACCESS, body),
        Request("DELETE", f"{ACCESS}/ID-IN-THE-ANSWER"),
        "The policy is deleted; `appgov actions undo` knows its id, by hand take it from the answer.",
        ACCESS_WRITE,
        {},
    )
