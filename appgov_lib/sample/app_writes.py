"""Requests that make, delete, restore or judge whole apps, for a server started as writable."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from appgov_lib.sample import ids
from appgov_lib.sample.answers import Answer
from appgov_lib.sample.calendar import NOW
from appgov_lib.sample.catalogue import Catalogue
from appgov_lib.sample.changes import APPS, GRANTS, REGISTRATIONS
from appgov_lib.sample.edits import Record
from appgov_lib.sample.odata import GraphError

_decode, _encode = msgspec.json.Decoder().decode, msgspec.json.Encoder().encode
_ID = r"([0-9a-fA-F-]{36})"
_KEY = r"([A-Za-z0-9_.~-]+)"
_DONE = Answer(204, b"")
_ACCESS = "/identity/conditionalAccess/policies"
_RISKY = "/identityProtection/riskyServicePrincipals"
_STATES = ("enabled", "disabled", "enabledForReportingButNotEnforced")


class AppWrites:
    """Carries out requests about apps as a whole."""

    def __init__(self, catalogue: Catalogue) -> None:
        """Write over this catalogue."""
        self.catalogue, self.edits, self.changes = catalogue, catalogue.edits, catalogue.changes
        self._made = 0
        self.routes: tuple[tuple[str, str, Callable[..., Answer]], ...] = (
            ("POST", r"^/servicePrincipals$", self._add_app),
            ("DELETE", rf"^(/servicePrincipals)\(appId='{_ID}'\)$", self._delete_by_app),
            ("DELETE", rf"^(/servicePrincipals|/applications)/{_ID}$", self._delete),
            ("POST", rf"^/directory/deletedItems/{_ID}/restore$", self._restore),
            ("DELETE", rf"^/directory/deletedItems/{_ID}$", self._purge),
            ("DELETE", rf"^/servicePrincipals/{_ID}/appRoleAssignedTo/{_KEY}$", self._unassign),
            ("POST", rf"^/servicePrincipals/{_ID}/appRoleAssignedTo$", self._assign),
            ("POST", rf"^{_RISKY}/(confirmCompromised|dismiss)$", self._judge),
            ("POST", rf"^{_ACCESS}$", self._add_policy),
            ("DELETE", rf"^({_ACCESS})/{_KEY}$", self._remove_policy),
        )

    def _next(self, kind: str) -> str:
        """Id of an object that is made."""
        self._made += 1
        return ids.guid(self.catalogue.world.seed, f"written {kind}", self._made)

    # ---- made, deleted, restored -----------------------------------------------------------------------------------

    def _add_app(self, body: Record) -> Answer:
        """Make the service principal of an app that is registered anywhere."""
        app_id = str(body.get("appId", "")).lower()
        if len(app_id) != 36 or set(body) - {"appId", "accountEnabled"}:
            raise GraphError(400, "Request_BadRequest", "A service principal needs an appId.")
        if self.catalogue.object_at(f"/servicePrincipals(appId='{app_id}')", False) is not None:
            raise GraphError(409, "Request_MultipleObjectsWithSameKeyValue", "The appId is already in use.")
        record: Record = {
            "id": self._next("service principal"),
            "deletedDateTime": None,
            "accountEnabled": body.get("accountEnabled", True),
            "appDisplayName": None,
            "appId": app_id,
            "appOwnerOrganizationId": ids.guid(self.catalogue.world.seed, "unknown owner", app_id),
            "appRoleAssignmentRequired": False,
            "createdDateTime": _now(),
            "displayName": app_id,
            "servicePrincipalType": "Application",
            "signInAudience": "AzureADMultipleOrgs",
            "appRoles": [],
            "keyCredentials": [],
            "oauth2PermissionScopes": [],
            "passwordCredentials": [],
            "replyUrls": [],
            "servicePrincipalNames": [app_id],
            "tags": [],
        }
        self.changes.add_app(record)
        return _created("servicePrincipals", record)

    def _delete_by_app(self, body: Record, kind: str, app_id: str) -> Answer:
        """Delete a service principal by its app id."""
        row = self.catalogue.object_at(f"{kind}(appId='{app_id}')", False)
        if row is None:
            raise _missing(app_id)
        return self._delete(body, kind, _decode(row)["id"])

    def _delete(self, body: Record, kind: str, key: str) -> Answer:
        """Delete for thirty days. What others hold about a service principal goes for good."""
        number, row = self.catalogue.place_of(kind, key), self.catalogue.object_at(f"{kind}/{key}", False)
        if number is None or row is None:
            raise _missing(key)
        record = _decode(row)
        if kind == REGISTRATIONS:
            mine = self.catalogue.object_at(f"{APPS}(appId='{record['appId']}')", False)
            if mine is not None:
                self._delete({}, APPS, _decode(mine)["id"])
        else:
            for place, grant in list(self.changes.grants_of(number)) if number < self.catalogue.world.count else []:
                self.changes.drop(GRANTS, place, _decode(grant)["id"])
            for assignment in self._members(f"{APPS}/{key}/appRoleAssignments"):
                self.edits.assignments.take(key.lower(), assignment["id"])
        self.changes.drop(kind, number, record["id"], "changed")
        return _DONE

    def _restore(self, body: Record, key: str) -> Answer:
        """Bring a deleted object back under its id."""
        for kind in (APPS, REGISTRATIONS):
            number = self.catalogue.place_of(kind, key)
            if number is not None and self.changes.is_removed(kind, number, "changed"):
                self.changes.bring_back(kind, number, key)
                row = self.catalogue.object_at(f"{kind}/{key}", False)
                assert row is not None
                word = kind[1:-1]
                return _created("directoryObjects", {"@odata.type": f"#microsoft.graph.{word}", **_decode(row)})
        raise _missing(key)

    def _purge(self, body: Record, key: str) -> Answer:
        """Delete for good what lies among the deleted objects."""
        if self.catalogue.object_at(f"/directory/deletedItems/{key}", False) is None:
            raise _missing(key)
        for kind in (APPS, REGISTRATIONS):
            number = self.catalogue.place_of(kind, key)
            if number is not None:
                self.changes.drop(kind, number, key)
        self.edits.purged.add(key.lower())
        return _DONE

    # ---- people ----------------------------------------------------------------------------------------------------

    def _unassign(self, body: Record, app: str, key: str) -> Answer:
        """Take somebody off an app."""
        record = self._member(f"{APPS}/{app}/appRoleAssignedTo", key)
        self.edits.assignments.take(record["principalId"], key)
        return _DONE

    def _assign(self, body: Record, app: str) -> Answer:
        """Assign a user to an app; the assignment gets a new id."""
        row, person = (
            self.catalogue.object_at(f"{APPS}/{app}", False),
            self.catalogue.object_at(f"/users/{body.get('principalId')}", False),
        )
        if row is None or person is None or body.get("resourceId") != app:
            raise GraphError(400, "Request_BadRequest", "An assignment needs a user and the app of the address.")
        same = ("principalId", "appRoleId")
        if any(
            all(each[name] == body.get(name) for name in same)
            for each in self._members(f"{APPS}/{app}/appRoleAssignedTo")
        ):
            raise GraphError(400, "Request_BadRequest", "Permission being assigned already exists on the object.")
        record: Record = {
            "id": ids.opaque(self.catalogue.world.seed, "written person", self._next("person")),
            "deletedDateTime": None,
            "appRoleId": body.get("appRoleId"),
            "createdDateTime": _now(),
            "principalDisplayName": _decode(person)["displayName"],
            "principalId": body["principalId"],
            "principalType": "User",
            "resourceDisplayName": _decode(row)["displayName"],
            "resourceId": app,
        }
        self.edits.assignments.put(record["principalId"], record)
        return _created("appRoleAssignedTo", record)

    # ---- risk and access -------------------------------------------------------------------------------------------

    def _judge(self, body: Record, verb: str) -> Answer:
        """Confirm service principals as compromised, or dismiss their risk."""
        keys = body.get("servicePrincipalIds")
        if not isinstance(keys, list) or not keys or len(keys) > 60:
            raise GraphError(400, "BadRequest", "Name between 1 and 60 service principals.")
        confirmed = {"riskState": "confirmedCompromised", "riskLevel": "high"}
        confirmed["riskDetail"] = "adminConfirmedServicePrincipalCompromised"
        dismissed = {"riskState": "dismissed", "riskLevel": "none"}
        dismissed["riskDetail"] = "adminDismissedAllRiskForServicePrincipal"
        for key in keys:
            row = self.catalogue.object_at(f"{APPS}/{key}", False)
            if row is None:
                raise _missing(str(key))
            found = _decode(row)
            told = {name: found[name] for name in ("id", "displayName", "appId", "servicePrincipalType")}
            told |= {"isEnabled": found["accountEnabled"], "isProcessing": False, "riskLastUpdatedDateTime": _now()}
            self.edits.risks[found["id"]] = told | (confirmed if verb == "confirmCompromised" else dismissed)
        return _DONE

    def _add_policy(self, body: Record) -> Answer:
        """Make a Conditional Access policy for workload identities; the tenant has the licence for it."""
        conditions: Any = body.get("conditions") or {}
        holders = (conditions.get("clientApplications") or {}).get("includeServicePrincipals")
        if not body.get("displayName") or body.get("state") not in _STATES or not holders:
            raise GraphError(400, "BadRequest", "1011: A policy needs a name, a state and whom it is for.")
        for key in holders:
            row = self.catalogue.object_at(f"{APPS}/{key}", False)
            if row is None or _decode(row).get("signInAudience") != "AzureADMyOrg":
                raise GraphError(400, "BadRequest", f"1052: '{key}' is no service principal of a single-tenant app.")
        record: Record = {
            "id": self._next("policy"),
            "templateId": None,
            "createdDateTime": _now(),
            "modifiedDateTime": None,
            "deletedDateTime": None,
            "sessionControls": None,
            **{name: body.get(name) for name in ("displayName", "state", "grantControls")},
            "conditions": {"userRiskLevels": [], "signInRiskLevels": [], "locations": None, **conditions},
        }
        self.edits.access.put("", record)
        return _created("conditionalAccess", record)

    def _remove_policy(self, body: Record, path: str, key: str) -> Answer:
        """Remove one."""
        self._member(path, key)
        self.edits.access.take("", key)
        return _DONE

    # ---- reading ---------------------------------------------------------------------------------------------------

    def _members(self, path: str) -> list[Record]:
        """The members of a list now."""
        found = self.catalogue.collection(path, False)
        return [_decode(row) for row in found.rows(0, len(found))] if found is not None else []

    def _member(self, path: str, key: str) -> Record:
        """One of them."""
        for record in self._members(path):
            if record["id"] == key:
                return record
        raise _missing(key)


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
