"""Requests that change people, consent policies and limits for credentials, on a server started as writable."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

import msgspec

from appgov_lib.sample import ids, kept
from appgov_lib.sample.answers import Answer
from appgov_lib.sample.calendar import NOW
from appgov_lib.sample.changes import USERS
from appgov_lib.sample.edits import Record
from appgov_lib.sample.odata import GraphError

if TYPE_CHECKING:
    from appgov_lib.sample.writes import Writes

Route = tuple[str, str, Callable[..., Answer]]
_decode, _encode = msgspec.json.Decoder().decode, msgspec.json.Encoder().encode
_ID = r"([0-9a-fA-F-]{36})"
_NAME = r"([A-Za-z0-9_.-]+)"
_DONE = Answer(204, b"")
_CONDITIONS = frozenset(
    {
        "permissionClassification",
        "permissionType",
        "resourceApplication",
        "permissions",
        "clientApplicationIds",
        "clientApplicationTenantIds",
        "clientApplicationPublisherIds",
        "clientApplicationsFromVerifiedPublisherOnly",
    }
)
_RULE = frozenset({"displayName", "sequence", "isEnabled", "conditions", "actions", "exceptions"})


class PolicyWrites:
    """Carries them out over the same tenant as `Writes`."""

    def __init__(self, writes: Writes) -> None:
        """Share its tenant and its numbers."""
        self.writes, self.catalogue, self.edits = writes, writes.catalogue, writes.catalogue.edits
        self.world = self.catalogue.world

    def routes(self) -> tuple[Route, ...]:
        """Method, pattern of the path, and what carries it out."""
        rules, policies = "^/users/" + _ID + "/mailFolders/inbox/messageRules", "^/policies/permissionGrantPolicies"
        app, limits = rf"^/applications/{_ID}/appManagementPolicies", "^/policies/appManagementPolicies"
        return (
            ("POST", rf"^/users/{_ID}/revokeSignInSessions$", self._revoke),
            ("PATCH", rf"^/users/{_ID}$", self._user),
            ("DELETE", rf"{rules}/([A-Za-z0-9_+/=-]+)$", self._remove_rule),
            ("POST", rf"{rules}$", self._add_rule),
            ("POST", rf"{policies}$", self._add_policy),
            ("DELETE", rf"{policies}/{_NAME}$", self._remove_policy),
            ("POST", rf"{policies}/{_NAME}/(includes|excludes)$", self._add_condition),
            ("DELETE", rf"{policies}/{_NAME}/(includes|excludes)/{_ID}$", self._remove_condition),
            ("POST", rf"{limits}$", self._add_limit),
            ("DELETE", rf"{limits}/{_ID}$", self._remove_limit),
            ("POST", rf"{app}/\$ref$", self._hold),
            ("DELETE", rf"{app}/{_ID}/\$ref$", self._release),
        )

    # ---- people ----------------------------------------------------------------------------------------------------

    def _number(self, user: str) -> int:
        """The number of a user."""
        number = self.catalogue.user_places.get(user.lower())
        if number is None or self.catalogue.object_at(f"/users/{user}", False) is None:
            raise _missing(user)
        return number

    def _revoke(self, body: Record, user: str) -> Answer:
        """Sessions count from now on: each time a second later than the last, as a clock would have it."""
        moment = NOW + timedelta(seconds=self.writes.number())
        values = {"signInSessionsValidFromDateTime": f"{moment:%Y-%m-%dT%H:%M:%SZ}"}
        self.catalogue.changes.write(USERS, self._number(user), user.lower(), values)
        return _answer(200, "Edm.Boolean", {"value": True})

    def _user(self, body: Record, user: str) -> Answer:
        """Write whether a user may sign in."""
        if set(body) != {"accountEnabled"} or not isinstance(body["accountEnabled"], bool):
            raise GraphError(403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.")
        self.catalogue.changes.write(USERS, self._number(user), user.lower(), body)
        return _DONE

    def _remove_rule(self, body: Record, user: str, rule: str) -> Answer:
        """Remove an inbox rule."""
        self._number(user)
        self._member([each["id"] for each in kept.mail_rules(self.world, self.edits, user)], rule)
        self.edits.mail_rules.take(user, rule)
        return _DONE

    def _add_rule(self, body: Record, user: str) -> Answer:
        """Make an inbox rule under a new id."""
        self._number(user)
        _only(body, _RULE, "displayName", "actions")
        number = self.writes.number()
        record = {"id": f"AQAAA{ids.opaque(self.world.seed, 'written rule', number)[:6]}=", **body}
        self.edits.mail_rules.put(user, {**record, "hasError": False, "isReadOnly": False})
        return _answer(201, "messageRules", record)

    # ---- consent ---------------------------------------------------------------------------------------------------

    def _policies(self) -> dict[str, tuple[list[Record], list[Record]]]:
        """(includes, excludes) of each consent policy."""
        found = kept.grant_policies(self.world, self.edits)
        return {policy["id"]: (includes, excludes) for policy, includes, excludes in found}

    def _add_policy(self, body: Record) -> Answer:
        """Make a consent policy under the id it is sent with."""
        _only(body, frozenset({"id", "displayName", "description"}), "id", "displayName")
        if body["id"] in self._policies():
            raise GraphError(409, "Request_MultipleObjectsWithSameKeyValue", "The policy exists already.")
        record = {"description": None, "deletedDateTime": None, **body}
        self.edits.consent_policies.put("", record)
        return _answer(201, "policies/permissionGrantPolicies", record)

    def _own(self, policy: str) -> tuple[list[Record], list[Record]]:
        """The rules of a consent policy that may be written."""
        self._member(list(self._policies()), policy)
        if policy.startswith("microsoft-"):
            raise GraphError(400, "Request_BadRequest", "A policy that is built in cannot be changed.")
        return self._policies()[policy]

    def _remove_policy(self, body: Record, policy: str) -> Answer:
        """Remove a consent policy with its rules."""
        self._own(policy)
        self.edits.consent_policies.take("", policy)
        return _DONE

    def _add_condition(self, body: Record, policy: str, part: str) -> Answer:
        """Add a rule to a consent policy under a new id; what it leaves out means all."""
        self._own(policy)
        _only(body, _CONDITIONS, "permissionType")
        record: Record = {
            "id": ids.guid(self.world.seed, "written condition", self.writes.number()),
            "permissionClassification": "all",
            "resourceApplication": "any",
            "permissions": ["all"],
            "clientApplicationIds": ["all"],
            "clientApplicationTenantIds": ["all"],
            "clientApplicationPublisherIds": ["all"],
            "clientApplicationsFromVerifiedPublisherOnly": False,
            **body,
        }
        self.edits.conditions.put(f"{policy}/{part}", record)
        return _answer(201, f"policies/permissionGrantPolicies/{part}", record)

    def _remove_condition(self, body: Record, policy: str, part: str, key: str) -> Answer:
        """Remove a rule of a consent policy."""
        rules = self._own(policy)[part == "excludes"]
        self._member([rule["id"] for rule in rules], key)
        self.edits.conditions.take(f"{policy}/{part}", key)
        return _DONE

    # ---- limits for credentials ------------------------------------------------------------------------------------

    def _limits(self) -> dict[str, list[str]]:
        """Ids of the registrations by app management policy."""
        found = kept.app_policies(self.catalogue.directory, self.edits)
        return {policy["id"]: held for policy, held in found}

    def _add_limit(self, body: Record) -> Answer:
        """Make an app management policy."""
        _only(body, frozenset({"displayName", "description", "isEnabled", "restrictions"}), "displayName")
        key = ids.guid(self.world.seed, "written app policy", self.writes.number())
        record = {"id": key, "description": None, "deletedDateTime": None, **body}
        self.edits.app_policies.put("", record)
        return _answer(201, "policies/appManagementPolicies", record)

    def _remove_limit(self, body: Record, policy: str) -> Answer:
        """Remove an app management policy that holds for no app."""
        found = self._limits()
        self._member(list(found), policy)
        if found[policy]:
            raise GraphError(400, "Request_BadRequest", "The policy is assigned to applications.")
        self.edits.app_policies.take("", policy)
        return _DONE

    def _hold(self, body: Record, app: str) -> Answer:
        """Put a registration under a policy; it may be under one."""
        found, policy = self._limits(), str(body.get("@odata.id", "")).rsplit("/", 1)[-1]
        self._member(list(found), policy)
        if self.catalogue.object_at(f"/applications/{app}", False) is None:
            raise _missing(app)
        if any(app.lower() in held for held in found.values()):
            raise GraphError(400, "Request_BadRequest", "The application has an app management policy already.")
        self.edits.limited.put(policy, {"id": app.lower()})
        return _DONE

    def _release(self, body: Record, app: str, policy: str) -> Answer:
        """Take a registration out of a policy."""
        self._member(self._limits().get(policy, []), app.lower())
        self.edits.limited.take(policy, app.lower())
        return _DONE

    def _member(self, known: list[str], key: str) -> None:
        """Refuse a key that is not there."""
        if key not in known:
            raise _missing(key)


def _only(body: Record, known: frozenset[str], *needed: str) -> None:
    """Refuse a body with properties that are not known, or without one that is needed."""
    unknown = sorted(set(body) - known)
    if unknown or any(not body.get(name) for name in needed):
        raise GraphError(400, "Request_BadRequest", f"Property '{(unknown or needed)[0]}' is unknown or missing.")


def _answer(status: int, word: str, record: Record) -> Answer:
    """The answer that shows what was made."""
    context = f"https://graph.microsoft.com/v1.0/$metadata#{word}"
    return Answer(status, _encode({"@odata.context": context, **record}))


def _missing(key: str) -> GraphError:
    """The answer when there is no such object."""
    return GraphError(404, "Request_ResourceNotFound", f"Resource '{key[:120]}' does not exist.")
