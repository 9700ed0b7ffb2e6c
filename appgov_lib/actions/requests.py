"""The Graph requests an action may consist of, each built together with its undo and the permission it needs.

Paths and permissions follow the Microsoft Graph v1.0 reference. Ids come from a tenant, so every part of a path is
percent-encoded. Graph has no inverse for removing a credential; the undo then says so instead of naming a request.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import quote

APPLICATION_WRITE = "Application.ReadWrite.All"
GRANT_WRITE = "DelegatedPermissionGrant.ReadWrite.All"
ASSIGNMENT_WRITE = "AppRoleAssignment.ReadWrite.All"
ROLE_WRITE = "RoleManagement.ReadWrite.Directory"
ALERT_WRITE = "SecurityAlert.ReadWrite.All"
POLICY_WRITE = "Policy.ReadWrite.Authorization"
_COMPACT = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"))
_UNRESERVED = re.compile("[A-Za-z0-9_.~-]*").fullmatch
_GRANTS = "/v1.0/oauth2PermissionGrants"
_ROLES = "/v1.0/roleManagement/directory/roleAssignments"
_OBJECTS = {"application": "applications", "service_principal": "servicePrincipals"}


@dataclass(frozen=True)
class Request:
    """One HTTP request to Graph, relative to the endpoint."""

    method: str
    path: str
    body: Mapping[str, Any] | None = None

    @cached_property
    def text(self) -> str:
        """The body as JSON in ASCII on one line, `null` without one; four texts of a plan hold it."""
        return "null" if self.body is None else compact(self.body)


def compact(body: Mapping[str, Any]) -> str:
    """JSON in ASCII on one line."""
    return _COMPACT.encode(body)


@dataclass(frozen=True)
class Change:
    """A request with its inverse and the least permission for both."""

    request: Request
    undo: Request | None
    """None: cannot be undone."""
    undo_note: str
    permission: str
    state: Mapping[str, Any] = field(default_factory=dict)
    """What the request changes, as the plan knew it; see `forms`."""


def _path(*parts: str) -> str:
    """A v1.0 path of these parts, each percent-encoded."""
    # nearly every part is an id without anything to encode, and a plan holds half a million
    return "/v1.0/" + "/".join(part if _UNRESERVED(part) else quote(part, safe="$") for part in parts)


def disable_sign_in(service_principal_id: str, enabled: bool | None = None) -> Change:
    """Stop new tokens for the app in this tenant; `enabled` is what is known of it."""
    path = _path("servicePrincipals", service_principal_id)
    return Change(
        Request("PATCH", path, {"accountEnabled": False}),
        Request("PATCH", path, {"accountEnabled": True}),
        "Sign-in works again within minutes.",
        APPLICATION_WRITE,
        {} if enabled is None else {"accountEnabled": enabled},
    )


def cut_scopes(grant: Mapping[str, Any], remove: frozenset[str]) -> Change:
    """Remove scopes from a delegated grant, or the grant itself where none stays.

    `grant` has grant_id, service_principal_id, resource_id, consent_type, principal_id and scopes.
    """
    grant_id = str(grant["grant_id"])
    path = f"{_GRANTS}/{grant_id if _UNRESERVED(grant_id) else quote(grant_id, safe='')}"
    stays = [scope for scope in grant["scopes"] if scope not in remove]
    before = " ".join(grant["scopes"])
    state = {
        "clientId": grant["service_principal_id"],
        "consentType": grant["consent_type"],
        "principalId": grant["principal_id"],
        "resourceId": grant["resource_id"],
        "scope": " ".join(sorted(set(grant["scopes"]))),
    }
    if stays:
        return Change(
            Request("PATCH", path, {"scope": " ".join(stays)}),
            Request("PATCH", path, {"scope": before}),
            "The grant gets its scopes back.",
            GRANT_WRITE,
            state,
        )
    again: dict[str, Any] = {"clientId": grant["service_principal_id"], "consentType": grant["consent_type"]}
    if grant["principal_id"]:
        again["principalId"] = grant["principal_id"]
    again |= {"resourceId": grant["resource_id"], "scope": before}
    return Change(
        Request("DELETE", path),
        Request("POST", _GRANTS, again),
        "The grant returns under a new id.",
        GRANT_WRITE,
        state,
    )


def remove_app_role(assignment: Mapping[str, Any]) -> Change:
    """Remove one application permission.

    `assignment` has assignment_id, service_principal_id, resource_id and app_role_id.
    """
    holder = str(assignment["service_principal_id"])
    made = {"principalId": holder, "resourceId": assignment["resource_id"], "appRoleId": assignment["app_role_id"]}
    return Change(
        Request("DELETE", _path("servicePrincipals", holder, "appRoleAssignments", str(assignment["assignment_id"]))),
        Request("POST", _path("servicePrincipals", holder, "appRoleAssignments"), made),
        "The assignment returns under a new id.",
        ASSIGNMENT_WRITE,
        made,
    )


def remove_secret(origin: str, object_id: str, key_id: str) -> Change:
    """Remove a client secret from an application or service principal."""
    path = _path(_OBJECTS[origin], object_id, "removePassword")
    return Change(
        Request("POST", path, {"keyId": key_id}),
        None,
        "A removed secret cannot be restored; add a new one and give it to the app.",
        APPLICATION_WRITE,
        {"keyId": key_id.lower()},
    )


def remove_certificate(
    origin: str, object_id: str, key_ids: Sequence[str], all_keys: Sequence[Mapping[str, Any]]
) -> Change:
    """Write the list of certificates without some of them (removeKey would need a proof signed by the app itself)."""
    gone = {key_id.lower() for key_id in key_ids}
    stays = [
        {name: value for name, value in key.items() if value is not None}
        for key in all_keys
        if str(key.get("keyId", "")).lower() not in gone
    ]
    return Change(
        Request("PATCH", _path(_OBJECTS[origin], object_id), {"keyCredentials": stays}),
        None,
        "A list of apps does not show the public key, so the plan cannot hold it; `appgov actions apply` reads it "
        "first and can write it back. By hand: upload the certificate again from its file.",
        APPLICATION_WRITE,
        {"keyCredentials": sorted(str(key.get("keyId")).lower() for key in all_keys)},
    )


def remove_federated(application_id: str, credential_id: str, known: Mapping[str, Any] | None = None) -> Change:
    """Remove a federated identity credential; `known` has name, issuer, subject, audiences and description."""
    path = _path("applications", application_id, "federatedIdentityCredentials")
    made = {name: value for name, value in (known or {}).items() if value is not None}
    return Change(
        Request("DELETE", f"{path}/{quote(credential_id, safe='')}"),
        Request("POST", path, made) if made else None,
        "The credential returns under a new id." if made else "Create it again with the same issuer and subject.",
        APPLICATION_WRITE,
        made,
    )


def add_owner(application_id: str, owner_id: str) -> Change:
    """Make a user an owner of an application."""
    reference = f"https://graph.microsoft.com/v1.0/directoryObjects/{quote(owner_id, safe='')}"
    return Change(
        Request("POST", _path("applications", application_id, "owners", "$ref"), {"@odata.id": reference}),
        Request("DELETE", _path("applications", application_id, "owners", owner_id, "$ref")),
        "The owner is removed again.",
        APPLICATION_WRITE,
        {"owner": None},
    )


def remove_owner(application_id: str, owner_id: str) -> Change:
    """Take an owner from an application."""
    reference = f"https://graph.microsoft.com/v1.0/directoryObjects/{quote(owner_id, safe='')}"
    return Change(
        Request("DELETE", _path("applications", application_id, "owners", owner_id, "$ref")),
        Request("POST", _path("applications", application_id, "owners", "$ref"), {"@odata.id": reference}),
        "The person is an owner again.",
        APPLICATION_WRITE,
        {"owner": owner_id.lower()},
    )


def require_assignment(service_principal_id: str, required: bool | None) -> Change:
    """Let only assigned users sign in to an app; `required` is what is known of it."""
    path = _path("servicePrincipals", service_principal_id)
    return Change(
        Request("PATCH", path, {"appRoleAssignmentRequired": True}),
        Request("PATCH", path, {"appRoleAssignmentRequired": False}),
        "Everybody may sign in again.",
        APPLICATION_WRITE,
        {} if required is None else {"appRoleAssignmentRequired": required},
    )


def lock_properties(application_id: str, lock: Mapping[str, Any] | None) -> Change:
    """Keep other tenants from adding credentials to their copy of an app; `lock` is the one it has."""
    path = _path("applications", application_id)
    wanted = {"isEnabled": True, "allProperties": True}
    return Change(
        Request("PATCH", path, {"servicePrincipalLockConfiguration": wanted}),
        Request("PATCH", path, {"servicePrincipalLockConfiguration": lock}),
        "The lock is as it was.",
        APPLICATION_WRITE,
    )


def remove_directory_role(assignment: Mapping[str, Any]) -> Change:
    """Take a directory role from an app; `assignment` has assignment_id, principal_id, role_definition_id and scope."""
    made = {
        "principalId": assignment["principal_id"],
        "roleDefinitionId": assignment["role_definition_id"],
        "directoryScopeId": assignment["scope"],
    }
    path = f"{_ROLES}/{quote(str(assignment['assignment_id']), safe='')}"
    return Change(
        Request("DELETE", path), Request("POST", _ROLES, made), "The role returns under a new id.", ROLE_WRITE, made
    )


def take_up_alert(alert_id: str) -> Change:
    """Mark a new alert as being worked on; closing it is for who knows what it was."""
    path = _path("security", "alerts_v2", alert_id)
    return Change(
        Request("PATCH", path, {"status": "inProgress"}),
        Request("PATCH", path, {"status": "new"}),
        "The alert is new again.",
        ALERT_WRITE,
        {"status": "new"},
    )


def write_authorization_policy(after: Mapping[str, Any], before: Mapping[str, Any]) -> Change:
    """Write settings of the authorization policy; `before` are their values by the same names."""
    path = "/v1.0/policies/authorizationPolicy"
    return Change(
        Request("PATCH", path, after),
        Request("PATCH", path, before),
        "The setting has its former value again.",
        POLICY_WRITE,
        before,
    )
