"""The Graph requests an action may consist of, each built together with its undo and the permission it needs.

Paths and permissions follow the Microsoft Graph v1.0 reference. Ids come from a tenant, so every part of a path is
percent-encoded. Graph has no inverse for removing a credential; the undo then says so instead of naming a request.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

APPLICATION_WRITE = "Application.ReadWrite.All"
GRANT_WRITE = "DelegatedPermissionGrant.ReadWrite.All"
ASSIGNMENT_WRITE = "AppRoleAssignment.ReadWrite.All"
_UNRESERVED = re.compile("[A-Za-z0-9_.~-]*").fullmatch
_GRANTS = "/v1.0/oauth2PermissionGrants"
_OBJECTS = {"application": "applications", "service_principal": "servicePrincipals"}


@dataclass(frozen=True)
class Request:
    """One HTTP request to Graph, relative to the endpoint."""

    method: str
    path: str
    body: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Change:
    """A request with its inverse and the least permission for both."""

    request: Request
    undo: Request | None
    """None: cannot be undone."""
    undo_note: str
    permission: str


def _path(*parts: str) -> str:
    """A v1.0 path of these parts, each percent-encoded."""
    # nearly every part is an id without anything to encode, and a plan holds half a million
    return "/v1.0/" + "/".join(part if _UNRESERVED(part) else quote(part, safe="$") for part in parts)


def disable_sign_in(service_principal_id: str) -> Change:
    """Stop new tokens for the app in this tenant."""
    path = _path("servicePrincipals", service_principal_id)
    return Change(
        Request("PATCH", path, {"accountEnabled": False}),
        Request("PATCH", path, {"accountEnabled": True}),
        "Sign-in works again within minutes.",
        APPLICATION_WRITE,
    )


def cut_scopes(grant: Mapping[str, Any], remove: frozenset[str]) -> Change:
    """Remove scopes from a delegated grant, or the grant itself where none stays.

    `grant` has grant_id, service_principal_id, resource_id, consent_type, principal_id and scopes.
    """
    grant_id = str(grant["grant_id"])
    path = f"{_GRANTS}/{grant_id if _UNRESERVED(grant_id) else quote(grant_id, safe='')}"
    stays = [scope for scope in grant["scopes"] if scope not in remove]
    before = " ".join(grant["scopes"])
    if stays:
        return Change(
            Request("PATCH", path, {"scope": " ".join(stays)}),
            Request("PATCH", path, {"scope": before}),
            "The grant gets its scopes back.",
            GRANT_WRITE,
        )
    again: dict[str, Any] = {"clientId": grant["service_principal_id"], "consentType": grant["consent_type"]}
    if grant["principal_id"]:
        again["principalId"] = grant["principal_id"]
    again |= {"resourceId": grant["resource_id"], "scope": before}
    return Change(
        Request("DELETE", path), Request("POST", _GRANTS, again), "The grant returns under a new id.", GRANT_WRITE
    )


def remove_app_role(assignment: Mapping[str, Any]) -> Change:
    """Remove one application permission.

    `assignment` has assignment_id, service_principal_id, resource_id and app_role_id.
    """
    holder = str(assignment["service_principal_id"])
    return Change(
        Request("DELETE", _path("servicePrincipals", holder, "appRoleAssignments", str(assignment["assignment_id"]))),
        Request(
            "POST",
            _path("servicePrincipals", holder, "appRoleAssignments"),
            {
                "principalId": holder,
                "resourceId": assignment["resource_id"],
                "appRoleId": assignment["app_role_id"],
            },
        ),
        "The assignment returns under a new id.",
        ASSIGNMENT_WRITE,
    )


def remove_secret(origin: str, object_id: str, key_id: str) -> Change:
    """Remove a client secret from an application or service principal."""
    path = _path(_OBJECTS[origin], object_id, "removePassword")
    return Change(
        Request("POST", path, {"keyId": key_id}),
        None,
        "A removed secret cannot be restored; add a new one and give it to the app.",
        APPLICATION_WRITE,
    )


def remove_certificate(origin: str, object_id: str, key_id: str, all_keys: Sequence[Mapping[str, Any]]) -> Change:
    """Write the list of certificates without one of them (removeKey would need a proof signed by the app itself)."""
    stays = [
        {name: value for name, value in key.items() if value is not None}
        for key in all_keys
        if str(key.get("keyId", "")).lower() != key_id.lower()
    ]
    return Change(
        Request("PATCH", _path(_OBJECTS[origin], object_id), {"keyCredentials": stays}),
        None,
        "Graph does not give the public key back; upload the certificate again from its file.",
        APPLICATION_WRITE,
    )


def remove_federated(application_id: str, credential_id: str) -> Change:
    """Remove a federated identity credential of an application."""
    return Change(
        Request("DELETE", _path("applications", application_id, "federatedIdentityCredentials", credential_id)),
        None,
        "Create it again with the same issuer, subject and audience.",
        APPLICATION_WRITE,
    )


def add_owner(application_id: str, owner_id: str) -> Change:
    """Make a user an owner of an application."""
    reference = f"https://graph.microsoft.com/v1.0/directoryObjects/{quote(owner_id, safe='')}"
    return Change(
        Request("POST", _path("applications", application_id, "owners", "$ref"), {"@odata.id": reference}),
        Request("DELETE", _path("applications", application_id, "owners", owner_id, "$ref")),
        "The owner is removed again.",
        APPLICATION_WRITE,
    )
