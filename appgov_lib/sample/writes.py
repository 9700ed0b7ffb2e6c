"""Requests that change the tenant, for a server started as writable: what Graph v1.0 takes, and how it answers.

Every change is kept in memory alone. Values are checked as far as a wrong request would be refused by Graph.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec

from appgov_lib.sample import ids
from appgov_lib.sample.answers import Answer, Request
from appgov_lib.sample.app_writes import AppWrites
from appgov_lib.sample.calendar import NOW
from appgov_lib.sample.catalogue import Catalogue
from appgov_lib.sample.changes import APPS, GRANTS, REGISTRATIONS
from appgov_lib.sample.edits import Record, merged
from appgov_lib.sample.odata import GraphError
from appgov_lib.sample.policy_writes import PolicyWrites

_decode, _encode = msgspec.json.Decoder().decode, msgspec.json.Encoder().encode
_ID = r"([0-9a-fA-F-]{36})"
_KEY = r"([A-Za-z0-9_.~-]+)"
_WRITABLE = {
    APPS: frozenset(
        {"accountEnabled", "appRoleAssignmentRequired", "keyCredentials", "notes", "tags", "replyUrls", "displayName"}
    ),
    REGISTRATIONS: frozenset(
        {
            "displayName",
            "isDisabled",
            "keyCredentials",
            "notes",
            "publicClient",
            "requiredResourceAccess",
            "servicePrincipalLockConfiguration",
            "signInAudience",
            "spa",
            "tags",
            "web",
        }
    ),
}
_POLICIES = frozenset(
    {
        "/policies/authorizationPolicy",
        "/policies/adminConsentRequestPolicy",
        "/policies/defaultAppManagementPolicy",
    }
)
_DONE = Answer(204, b"")


class Writes:
    """Carries out requests that change something."""

    def __init__(self, catalogue: Catalogue) -> None:
        """Write over this catalogue."""
        self.catalogue, self.edits, self.changes = catalogue, catalogue.edits, catalogue.changes
        self._made = 0
        of_apps = AppWrites(catalogue).routes
        own: tuple[tuple[str, str, Callable[..., Answer]], ...] = (
            ("PATCH", rf"^(/servicePrincipals|/applications)/{_ID}$", self._patch),
            ("POST", rf"^(/servicePrincipals|/applications)/{_ID}/removePassword$", self._remove_password),
            ("POST", rf"^/applications/{_ID}/owners/\$ref$", self._add_owner),
            ("DELETE", rf"^/applications/{_ID}/owners/{_ID}/\$ref$", self._remove_owner),
            ("PATCH", rf"^/oauth2PermissionGrants/{_KEY}$", self._patch_grant),
            ("DELETE", rf"^/oauth2PermissionGrants/{_KEY}$", self._delete_grant),
            ("POST", r"^/oauth2PermissionGrants$", self._add_grant),
            ("DELETE", rf"^/servicePrincipals/{_ID}/appRoleAssignments/{_KEY}$", self._unassign),
            ("POST", rf"^/servicePrincipals/{_ID}/appRoleAssignments$", self._assign),
            ("DELETE", rf"^/applications/{_ID}/federatedIdentityCredentials/{_ID}$", self._remove_federated),
            ("POST", rf"^/applications/{_ID}/federatedIdentityCredentials$", self._add_federated),
            ("DELETE", rf"^/roleManagement/directory/roleAssignments/{_KEY}$", self._remove_role),
            ("POST", r"^/roleManagement/directory/roleAssignments$", self._add_role),
            ("PATCH", r"^(/policies/\w+)$", self._policy),
            ("PUT", r"^(/policies/adminConsentRequestPolicy)$", self._policy),
            ("PATCH", r"^(/security/(?:alerts_v2|incidents)/[\w.-]+)$", self._handle),
            *PolicyWrites(self).routes(),
        )
        self._routes = tuple((method, re.compile(pattern), action) for method, pattern, action in (*of_apps, *own))

    def answer(self, request: Request, path: str) -> Answer:
        """Carry out one request. Raises GraphError where Graph would refuse it."""
        for method, pattern, action in self._routes:
            found = pattern.match(path)
            if found and method == request.method:
                body = request.json() if request.body else {}
                return action(body, *found.groups())
        raise GraphError(405, "Request_BadRequest", f"{request.method} is not supported on '{path[:80]}'.")

    # ---- apps and registrations ------------------------------------------------------------------------------------

    def _object(self, kind: str, key: str) -> tuple[int, Record]:
        """(number, record) of a service principal or registration."""
        number, row = self.catalogue.place_of(kind, key), self.catalogue.object_at(f"{kind}/{key}", False)
        if number is None or row is None:
            raise _missing(key)
        return number, _decode(row)

    def _patch(self, body: Record, kind: str, key: str) -> Answer:
        """Write properties; keys are told apart by their id and keep what is not sent again."""
        number, record = self._object(kind, key)
        unknown = sorted(set(body) - _WRITABLE[kind])
        if unknown or not body:
            name = unknown[0] if unknown else "nothing"
            raise GraphError(400, "Request_BadRequest", f"Property '{name}' is read-only or does not exist.")
        if "keyCredentials" in body:
            body = {**body, "keyCredentials": _keys(record["keyCredentials"], body["keyCredentials"])}
        after = merged(record, body)
        self.changes.write(kind, number, record["id"], {name: after[name] for name in body})
        return _DONE

    def _remove_password(self, body: Record, kind: str, key: str) -> Answer:
        """Remove a secret for good."""
        number, record = self._object(kind, key)
        kept = [each for each in record["passwordCredentials"] if each["keyId"] != body.get("keyId")]
        if len(kept) == len(record["passwordCredentials"]):
            message = f"No password credential found with keyId '{body.get('keyId')}'."
            raise GraphError(400, "Request_BadRequest", message)
        self.changes.write(kind, number, record["id"], {"passwordCredentials": kept})
        return _DONE

    def _add_owner(self, body: Record, key: str) -> Answer:
        """Make a user an owner of a registration."""
        self._object(REGISTRATIONS, key)
        user = str(body.get("@odata.id", "")).rsplit("/", 1)[-1].lower()
        person = self.catalogue.object_at(f"/users/{user}", False)
        if person is None:
            raise _missing(user)
        if any(owner["id"] == user for owner in self._members(f"/applications/{key}/owners")):
            message = (
                "One or more added object references already exist for the following modified properties: 'owners'."
            )
            raise GraphError(400, "Request_BadRequest", message)
        found = _decode(person)
        names = ("id", "displayName", "userPrincipalName", "accountEnabled", "userType")
        record = {"@odata.type": "#microsoft.graph.user", **{name: found[name] for name in names}}
        self.edits.owners.put(key.lower(), record)
        return _DONE

    def _remove_owner(self, body: Record, key: str, user: str) -> Answer:
        """Take an owner from a registration."""
        self._member(f"/applications/{key}/owners", user)
        self.edits.owners.take(key.lower(), user.lower())
        return _DONE

    # ---- grants and assignments ------------------------------------------------------------------------------------

    def _patch_grant(self, body: Record, key: str) -> Answer:
        """Write the scopes of a delegated grant."""
        number, record = self._grant(key)
        if set(body) != {"scope"} or not str(body["scope"]).strip():
            raise GraphError(400, "Request_BadRequest", "Only a scope that is not empty can be written to a grant.")
        self.changes.write(GRANTS, number, record["id"], body)
        return _DONE

    def _delete_grant(self, body: Record, key: str) -> Answer:
        """Remove a delegated grant."""
        number, record = self._grant(key)
        self.changes.drop(GRANTS, number, record["id"])
        return _DONE

    def _add_grant(self, body: Record) -> Answer:
        """Make a delegated grant; its id is a new one."""
        self._object(APPS, str(body.get("clientId")))
        self._object(APPS, str(body.get("resourceId")))
        record = {
            "clientId": body["clientId"],
            "consentType": body.get("consentType"),
            "id": self._id("grant"),
            "principalId": body.get("principalId"),
            "resourceId": body["resourceId"],
            "scope": body.get("scope"),
        }
        same = ("clientId", "consentType", "principalId", "resourceId")
        grants = self.catalogue.collection("/oauth2PermissionGrants", False)
        assert grants is not None
        if any(all(_decode(row)[name] == record[name] for name in same) for row in grants.rows(0, len(grants))):
            raise GraphError(409, "Request_MultipleObjectsWithSameKeyValue", "Permission entry already exists.")
        self.changes.add_grant(record)
        return _created("oauth2PermissionGrants", record)

    def _grant(self, key: str) -> tuple[int, Record]:
        """(number, record) of a grant."""
        grants = self.catalogue.collection("/oauth2PermissionGrants", False)
        assert grants is not None
        wanted = f'"id":"{key}"'.encode()
        for place, row in enumerate(grants.rows(0, len(grants))):
            if wanted in row:
                return grants.anchor(place), _decode(row)
        raise _missing(key)

    def _unassign(self, body: Record, client: str, key: str) -> Answer:
        """Take an application permission from a client."""
        self._member(f"/servicePrincipals/{client}/appRoleAssignments", key)
        self.edits.assignments.take(client.lower(), key)
        return _DONE

    def _assign(self, body: Record, client: str) -> Answer:
        """Give a client an application permission; the assignment gets a new id."""
        _, holder = self._object(APPS, client)
        _, resource = self._object(APPS, str(body.get("resourceId")))
        if body.get("principalId") != client:
            raise GraphError(400, "Request_BadRequest", "The principal is not the object of the address.")
        held = self._members(f"/servicePrincipals/{client}/appRoleAssignments")
        if any((e["appRoleId"], e["resourceId"]) == (body.get("appRoleId"), body["resourceId"]) for e in held):
            raise GraphError(400, "Request_BadRequest", "Permission being assigned already exists on the object.")
        record: Record = {
            "id": self._id("assignment"),
            "deletedDateTime": None,
            "appRoleId": body.get("appRoleId"),
            "createdDateTime": _now(),
            "principalDisplayName": holder["displayName"],
            "principalId": client,
            "principalType": "ServicePrincipal",
            "resourceDisplayName": resource["displayName"],
            "resourceId": body["resourceId"],
        }
        self.edits.assignments.put(client.lower(), record)
        return _created("appRoleAssignments", record)

    # ---- the rest --------------------------------------------------------------------------------------------------

    def _remove_federated(self, body: Record, key: str, credential: str) -> Answer:
        """Remove a federated credential."""
        self._member(f"/applications/{key}/federatedIdentityCredentials", credential)
        self.edits.federated.take(key.lower(), credential)
        return _DONE

    def _add_federated(self, body: Record, key: str) -> Answer:
        """Add a federated credential under a new id."""
        self._object(REGISTRATIONS, key)
        names = ("name", "issuer", "subject", "audiences")
        if not all(body.get(name) for name in names):
            raise GraphError(
                400, "Request_BadRequest", "A federated credential needs name, issuer, subject, audiences."
            )
        record: Record = {"id": ids.guid(self.catalogue.world.seed, "written federated", self.number())}
        record |= {name: body[name] for name in names[:3]}
        record |= {"description": body.get("description"), "audiences": body["audiences"]}
        self.edits.federated.put(key.lower(), record)
        return _created("federatedIdentityCredentials", record)

    def _remove_role(self, body: Record, key: str) -> Answer:
        """Take a directory role from somebody."""
        self._member("/roleManagement/directory/roleAssignments", key)
        self.edits.roles.take("", key)
        return _DONE

    def _add_role(self, body: Record) -> Answer:
        """Give somebody a directory role under a new id."""
        names = ("principalId", "roleDefinitionId", "directoryScopeId")
        if not all(body.get(name) for name in names):
            raise GraphError(400, "Request_BadRequest", "A role assignment needs principal, definition and scope.")
        record: Record = {"id": self._id("role"), **{name: body[name] for name in names}}
        self.edits.roles.put("", record)
        return _created("roleManagement", record)

    def _policy(self, body: Record, path: str) -> Answer:
        """Write a policy of the tenant."""
        if path not in _POLICIES:
            raise _missing(path)
        row = self.catalogue.object_at(path, False)
        assert row is not None
        unknown = sorted(set(body) - set(_decode(row)))
        if unknown:
            raise GraphError(400, "Request_BadRequest", f"Property '{unknown[0]}' does not exist.")
        self.edits.objects[path] = merged(self.edits.objects.get(path, {}), body)
        return _DONE

    def _handle(self, body: Record, path: str) -> Answer:
        """Write status, classification and assignment of an alert or incident."""
        unknown = sorted(set(body) - {"status", "classification", "determination", "assignedTo", "customTags"})
        base, _, key = path.rpartition("/")
        record = self._member(base, key)
        if unknown:
            raise GraphError(400, "Request_BadRequest", f"Property '{unknown[0]}' cannot be written.")
        self.edits.objects[path] = merged(self.edits.objects.get(path, {}), body)
        return Answer(200, _encode(merged(record, body)))

    def _members(self, path: str) -> list[Record]:
        """The members of a list now."""
        found = self.catalogue.collection(path, False)
        if found is None:
            raise _missing(path)
        return [_decode(row) for row in found.rows(0, len(found))]

    def _member(self, path: str, key: str) -> Record:
        """One of them."""
        for record in self._members(path):
            if record["id"] == key:
                return record
        raise _missing(key)

    def number(self) -> int:
        """Number of the object that is made next."""
        self._made += 1
        return self._made

    def _id(self, kind: str) -> str:
        """Id of an object that is made."""
        return ids.opaque(self.catalogue.world.seed, f"written {kind}", self.number())


def _keys(before: list[Record], wanted: Any) -> list[Record]:
    """The certificates after a write: those that were there keep what was not sent."""
    if not isinstance(wanted, list) or not all(isinstance(key, dict) for key in wanted):
        raise GraphError(400, "Request_BadRequest", "keyCredentials has to be a list.")
    held = {key["keyId"].lower(): key for key in before}
    result = []
    for key in wanted:
        old = held.get(str(key.get("keyId", "")).lower())
        if old is None and not key.get("key"):
            raise GraphError(400, "KeyCredentialsInvalidKey", "A new key credential needs its key.")
        result.append(old if old is not None else {**key, "key": None})
    return result


def _now() -> str:
    """The tenant's own time."""
    return NOW.strftime("%Y-%m-%dT%H:%M:%SZ")


def _created(word: str, record: Record) -> Answer:
    """The answer that shows what was made."""
    context = f"https://graph.microsoft.com/v1.0/$metadata#{word}/$entity"
    return Answer(201, _encode({"@odata.context": context, **record}))


def _missing(key: str) -> GraphError:
    """The answer when there is no such object."""
    return GraphError(404, "Request_ResourceNotFound", f"Resource '{key[:120]}' does not exist.")
