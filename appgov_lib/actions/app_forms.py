"""The forms of requests about an app as a whole: blocking, deleting, restoring, its risk, its Conditional Access."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from appgov_lib.actions.app_requests import ACCESS, BIN, OURS, REPORT_ONLY, RISKY
from appgov_lib.actions.form import ID, KEY, Form, Member, State, guid
from appgov_lib.actions.requests import Request

_SERVICE_PRINCIPALS = "/v1.0/servicePrincipals"
_ASSIGNED = Member(
    "assignment of a user", ("principalId", "resourceId", "appRoleId"), ("principalId", "resourceId", "appRoleId")
)


# ---- an app that is not here ----------------------------------------------------------------------------------------


def _block(request: Request, path: str) -> Form:
    """Making a disabled service principal, and nothing else."""
    body = request.body or {}
    app_id = guid(body["appId"]).lower()
    if set(body) != {"appId", "accountEnabled"} or body["accountEnabled"] is not False:
        raise KeyError("only a service principal that is disabled is made")
    return Form(
        kind="new service principal",
        request=request,
        read=f"{path}?$filter=appId%20eq%20%27{app_id}%27&$select=id,appId,accountEnabled",
        look=lambda raw: _blocked(raw[0]) if raw else None,
        after=lambda _: {"appId": app_id, "accountEnabled": False},
        undo=lambda _: Request("DELETE", f"{path}(appId='{app_id}')"),
        many=True,
    )


def _unblock(request: Request, path: str, app_id: str) -> Form:
    """Deleting what a block made, named by its app id as Graph makes the object's id."""
    return Form(
        kind="service principal",
        request=request,
        read=f"{path}?$select=id,appId,accountEnabled",
        look=lambda raw: None if raw is None else _blocked(raw),
        after=lambda _: None,
        undo=lambda _: None,
    )


def _blocked(raw: Mapping[str, Any]) -> State:
    """A service principal as far as a block says it."""
    return {"appId": str(raw.get("appId")).lower(), "accountEnabled": raw.get("accountEnabled")}


# ---- deleted for thirty days, or for good ---------------------------------------------------------------------------


def _bin_state(raw: Any) -> State:
    """Whether an object lies among the deleted ones; None: it is neither there nor in use."""
    if raw is None:
        return None
    return {"appId": str(raw.get("appId")).lower(), "deleted": bool(raw.get("deletedDateTime"))}


def _deletion(request: Request, path: str, key: str) -> Form:
    """Deleting a service principal or registration."""
    return Form(
        kind="deletion",
        request=request,
        read=path,
        look=_bin_state,
        after=lambda before: None if before is None else {**before, "deleted": True},
        undo=lambda _: Request("POST", f"{BIN}/{key}/restore", {}),
        elsewhere=(f"{BIN}/{key}",),
    )


def _restoring(request: Request, path: str, key: str) -> Form:
    """Bringing it back, under its old id."""
    if request.body:
        raise KeyError("a body that says more than to restore")

    def undo(raw: Any) -> Request | None:
        """Delete it again, where its kind is told."""
        kind = str(raw.get("@odata.type")).rpartition(".")[2]
        kinds = {"servicePrincipal": "servicePrincipals", "application": "applications"}
        return Request("DELETE", f"/v1.0/{kinds[kind]}/{key}") if kind in kinds else None

    return Form(
        kind="deletion",
        request=request,
        read=path,
        look=_bin_state,
        after=lambda before: None if before is None else {**before, "deleted": False},
        undo=undo,
        elsewhere=(f"{_SERVICE_PRINCIPALS}/{key}", f"/v1.0/applications/{key}"),
    )


def _purge(request: Request, path: str) -> Form:
    """Deleting for good; it looks among the deleted ones alone, so that nothing in use can be meant."""
    return Form(
        kind="deletion",
        request=request,
        read=path,
        look=_bin_state,
        after=lambda _: None,
        undo=lambda _: None,
    )


# ---- risk -----------------------------------------------------------------------------------------------------------


def _risk(request: Request, verb: str) -> Form:
    """A verdict on the risk of one service principal; dismissing does not lead back to the state before."""
    (key,) = (request.body or {})["servicePrincipalIds"]
    key, told = guid(key), {"confirmCompromised": "confirmedCompromised", "dismiss": "dismissed"}[verb]
    confirms = verb == "confirmCompromised"
    back = Request("POST", f"{RISKY}/dismiss", {"servicePrincipalIds": [key]}) if confirms else None
    return Form(
        kind="risk",
        request=request,
        read=f"{RISKY}/{key}",
        # an app that nobody holds to be at risk is in no list
        look=lambda raw: {"riskState": str(raw.get("riskState")) if raw else "none"},
        after=lambda _: {"riskState": told},
        undo=lambda _: back,
        loose=True,
    )


# ---- Conditional Access ---------------------------------------------------------------------------------------------


def _policy_state(raw: Mapping[str, Any]) -> State:
    """A Conditional Access policy as far as an action makes one."""
    conditions = raw.get("conditions") or {}
    return {
        "displayName": raw.get("displayName"),
        "state": raw.get("state"),
        "servicePrincipals": (conditions.get("clientApplications") or {}).get("includeServicePrincipals"),
        "risk": sorted(conditions.get("servicePrincipalRiskLevels") or ()),
        "applications": (conditions.get("applications") or {}).get("includeApplications"),
        "controls": (raw.get("grantControls") or {}).get("builtInControls"),
    }


def _new_policy(request: Request, path: str) -> Form:
    """A policy for one workload identity, as a report only; any other one is refused."""
    body = request.body or {}
    wanted = _policy_state(body)
    assert wanted is not None
    (holder,) = wanted["servicePrincipals"]
    guid(holder)
    parts = {"clientAppTypes", "applications", "clientApplications", "servicePrincipalRiskLevels"}
    known = set(body) == {"displayName", "state", "conditions", "grantControls"} and set(body["conditions"]) == parts
    if not known or (wanted["state"], wanted["controls"]) != (REPORT_ONLY, ["block"]) or not _ours(wanted):
        raise KeyError("a policy that no action makes")

    def look(raw: Any) -> State:
        """The one of this name."""
        found = [row for row in raw if row.get("displayName") == wanted["displayName"]]
        return _policy_state(found[0]) if found else None

    def made(raw: Any) -> Request:
        """Its removal, by the id it got."""
        found = next(row for row in raw if row.get("displayName") == wanted["displayName"])
        return Request("DELETE", f"{path}/{quote(str(found['id']), safe='')}")

    return Form(
        kind="new policy",
        request=request,
        read=path,
        look=look,
        after=lambda _: wanted,
        undo=lambda _: None,
        many=True,
        made=made,
    )


def _remove_policy(request: Request, path: str, key: str) -> Form:
    """The removal of a policy that an action made."""
    return Form(
        kind="policy",
        request=request,
        read=path,
        look=lambda raw: None if raw is None else _policy_state(raw),
        after=lambda _: None,
        undo=lambda _: None,
    )


def _ours(policy: Mapping[str, Any]) -> bool:
    """Whether the name says that an action made it."""
    return str(policy.get("displayName")).startswith(OURS)


# ---- whose it is ----------------------------------------------------------------------------------------------------


def about_another(request: Request, state: State, app_id: str, service_principal_id: str) -> bool:
    """Whether a request of this module is about another app than the action that holds it."""
    body, state = request.body or {}, state or {}
    named = re.fullmatch(rf".+\(appId='{ID}'\)", request.path)
    apps = {str(app).lower() for app in (named and named[1], body.get("appId")) if app}
    if request.path.startswith(BIN):
        apps |= {str(state["appId"]).lower()} if "appId" in state else set()
    holders = set(body.get("servicePrincipalIds") or ())
    if request.path.startswith(ACCESS):
        wanted = state or _policy_state(body) or {}
        holders |= set(wanted.get("servicePrincipals") or ["?"]) if request.method == "POST" or state else set()
        if state and not _ours(state):
            return True
    return bool(apps - {app_id.lower()}) or any(holder.lower() != service_principal_id.lower() for holder in holders)


FORMS: tuple[tuple[str, str, Callable[..., Form]], ...] = (
    ("POST", rf"({_SERVICE_PRINCIPALS})", _block),
    ("DELETE", rf"({_SERVICE_PRINCIPALS}\(appId='{ID}'\))", _unblock),
    ("DELETE", rf"(/v1\.0/(?:servicePrincipals|applications)/{ID})", _deletion),
    ("POST", rf"({BIN}/{ID})/restore", _restoring),
    ("DELETE", rf"({BIN}/{ID})", lambda r, path, _: _purge(r, path)),
    (
        "DELETE",
        rf"(({_SERVICE_PRINCIPALS}/{ID}/appRoleAssignedTo)/{KEY})",
        lambda r, path, back, *_: _ASSIGNED.removal(r, path, back),
    ),
    (
        "POST",
        rf"({_SERVICE_PRINCIPALS}/{ID}/appRoleAssignedTo)",
        lambda r, path, _: _ASSIGNED.making(r, path, path),
    ),
    ("POST", rf"{RISKY}/(confirmCompromised|dismiss)", _risk),
    ("POST", rf"({ACCESS})", _new_policy),
    ("DELETE", rf"({ACCESS}/{KEY})", _remove_policy),
)
