"""The directory audit log: what administrators, users and services changed; about forty events a day.

Events that belong to something in the directory (a secret added, a consent, an assignment) agree with it; the rest is
the daily noise of a tenant. Names of activities are written as the service writes them: some end in a blank, some
hold an en dash.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from appgov_lib.sample import ids
from appgov_lib.sample.calendar import DAYS, stamp, weekday
from appgov_lib.sample.directory import Directory, compact
from appgov_lib.sample.grants import Grants
from appgov_lib.sample.world import INTERNAL, MANAGED

SECRETS = "Update application \u2013 Certificates and secrets management "
_NOISE = (
    ("Update user", "UserManagement", "Update"),
    ("Update user", "UserManagement", "Update"),
    ("Add member to group", "GroupManagement", "Assign"),
    ("Remove member from group", "GroupManagement", "Unassign"),
    ("Reset user password", "UserManagement", "Update"),
    ("Update device", "Device", "Update"),
    ("User registered security info", "UserManagement", "Update"),
    ("Update group", "GroupManagement", "Update"),
)
_NOISE_ON_WEEKDAY, _NOISE_ON_WEEKEND = 50, 12
_MOST_APPS = 3_000


@dataclass(frozen=True)
class Event:
    """One audit event before it is written."""

    day: int
    second: int
    activity: str
    category: str
    operation: str
    actor: dict[str, Any]
    targets: list[dict[str, Any]]
    details: tuple[tuple[str, str], ...] = ()
    success: bool = True


class Audits:
    """Makes the audit log of a world."""

    def __init__(self, directory: Directory, grants: Grants) -> None:
        """Remember where the facts come from."""
        self.directory, self.grants, self.world = directory, grants, directory.world
        self.people = directory.people

    def rows(self) -> tuple[list[str], list[bytes]]:
        """(times, records) of the whole log, newest first."""
        events = [*self._noise(), *self._credentials(), *self._consents(), *self._assignments(), *self._reply_urls()]
        events.sort(key=lambda event: (event.day, event.second, event.activity, str(event.targets)), reverse=True)
        moments = [stamp(event.day, event.second) for event in events]
        return moments, [self._write(event, number) for number, event in enumerate(reversed(events))][::-1]

    def _write(self, event: Event, number: int) -> bytes:
        """An event as Graph writes it; `number` counts from the oldest, so ids stay when the log grows."""
        seed = self.world.seed
        short = ids.opaque(seed, "audit", number)[:5].upper()
        return compact(
            {
                "id": f"Directory_{ids.guid(seed, 'audit', number)}_{short}_{number}",
                "category": event.category,
                "correlationId": ids.guid(seed, "audit correlation", number),
                "result": "success" if event.success else "failure",
                "resultReason": "" if event.success else "Microsoft.Online.Workflows.ValidationException",
                "activityDisplayName": event.activity,
                "activityDateTime": stamp(event.day, event.second),
                "loggedByService": "Core Directory",
                "operationType": event.operation,
                "initiatedBy": event.actor,
                "targetResources": event.targets,
                "additionalDetails": [{"key": key, "value": value} for key, value in event.details],
            }
        ).encode()

    # ---- actors and targets ----------------------------------------------------------------------------------------

    def _by_user(self, user: int) -> dict[str, Any]:
        """initiatedBy for a person."""
        return {
            "user": {
                "id": self.world.user_ids[user],
                "displayName": self.people.user_name(user),
                "userPrincipalName": self.people.principal_name(user),
                "ipAddress": self.people.user_address(user),
            },
            "app": None,
        }

    def _by_app(self, index: int) -> dict[str, Any]:
        """initiatedBy for a service principal; the service leaves the app id empty here."""
        return {
            "user": None,
            "app": {
                "appId": None,
                "displayName": self.people.app_name(index),
                "servicePrincipalId": self.world.sp_ids[index],
                "servicePrincipalName": None,
            },
        }

    def _admin(self) -> int:
        """The user who administers applications."""
        return int(self.world.active_users[2])

    def _sp(self, index: int, changes: list[dict[str, Any]] | None = None) -> dict[str, Any]:
        """A service principal as target."""
        return _target(self.world.sp_ids[index], self.people.app_name(index), "ServicePrincipal", changes)

    def _registration(self, index: int, changes: list[dict[str, Any]] | None = None) -> dict[str, Any]:
        """A registration as target: the object id of the application, not of the service principal."""
        number = int(self.world.registered.searchsorted(index))
        return _target(self.directory.application_id(number), self.people.app_name(index), "Application", changes)

    # ---- events ----------------------------------------------------------------------------------------------------

    def _noise(self) -> list[Event]:
        """Daily changes to users, groups and devices."""
        world, events = self.world, []
        for day in range(DAYS):
            many = _NOISE_ON_WEEKEND if weekday(day) > 4 else _NOISE_ON_WEEKDAY
            for turn in range(many + ids.pick(world.seed, "noise", day, 7) - 3):
                word = ids.digest(world.seed, "noise event", f"{day}/{turn}")
                activity, category, operation = _NOISE[word[0] % len(_NOISE)]
                user = int(world.active_users[int.from_bytes(word[1:4], "big") % len(world.active_users)])
                actor = self._by_user(self._admin() if word[4] % 2 else user)
                change = _change("Department", '["Sales"]', '["Operations"]')
                target = _target(world.user_ids[user], self.people.user_name(user), "User", [change])
                target["userPrincipalName"] = self.people.principal_name(user)
                second = 28_000 + int.from_bytes(word[5:8], "big") % 36_000
                events.append(
                    Event(day, second, activity, category, operation, actor, [target], success=word[8] % 40 > 0)
                )
        return events

    def _credentials(self) -> list[Event]:
        """A secret or certificate added within the thirteen weeks; managed identities are rotated by Azure."""
        world, events = self.world, []
        for index in range(world.cast_start, min(world.count, _MOST_APPS)):
            for place, credential in enumerate(world.credentials(index)):
                day, second = _moment(credential.starts)
                if not 0 <= day < DAYS or credential.kind == "federated":
                    continue
                kind = "Password" if credential.kind == "secret" else "AsymmetricX509Cert"
                key_id = world.key_id(index, place)
                text = f"[KeyIdentifier={key_id},KeyType={kind},KeyUsage=Verify,DisplayName={credential.name}]"
                changes = [
                    _change("KeyDescription", "[]", compact([text])),
                    _change("Included Updated Properties", None, '"KeyDescription"'),
                ]
                details = (("User-Agent", "Mozilla/5.0"), ("AppId", world.app_ids[index]))
                if world.kind[index] == MANAGED:
                    events.append(
                        Event(day, second, "Update service principal", "ApplicationManagement", "Update",
                              self._by_app(0), [self._sp(index, changes)], details)
                    )  # fmt: skip
                elif world.kind[index] == INTERNAL:
                    actor = self._by_user(self._admin())
                    for activity, target in (
                        (SECRETS, self._registration(index, changes)),
                        ("Update service principal", self._sp(index)),
                    ):
                        events.append(
                            Event(day, second, activity, "ApplicationManagement", "Update", actor, [target], details)
                        )
                else:
                    actor = self._by_user(self._admin())
                    events.append(
                        Event(day, second, "Add service principal credentials", "ApplicationManagement", "Add",
                              actor, [self._sp(index, changes)], details)
                    )  # fmt: skip
        return events

    def _consents(self) -> list[Event]:
        """New apps of the thirteen weeks: the service principal, then each consent."""
        world, events = self.world, []
        for index in range(world.cast_start, min(world.count, _MOST_APPS)):
            born, _ = _moment(float(world.created[index]))
            if not 0 <= born < DAYS:
                continue
            grants = self.grants.grants_of_app(index)
            admin = self._by_user(self._admin())
            events.append(
                Event(born, 30_000, "Add service principal", "ApplicationManagement", "Add", admin, [self._sp(index)])
            )
            for place in range(len(grants)):
                by_admin = b"AllPrincipals" in grants[place]
                user = self._admin() if by_admin else self.grants.consenting_user(index, place)
                day = min(DAYS - 1, born + place)
                scope = grants[place].split(b'"scope":"')[1].split(b'"')[0].decode().strip()
                kind = "AllPrincipals" if by_admin else "Principal"
                permissions = (
                    f"[] => [[Id: x, ConsentType: {kind}, Scope: {scope}, CreatedDateTime: , LastModifiedDateTime ]]; "
                )
                changes = [
                    _change("ConsentContext.IsAdminConsent", None, f'"{by_admin}"'),
                    _change("ConsentContext.OnBehalfOfAll", None, f'"{by_admin}"'),
                    _change("ConsentAction.Permissions", None, compact(permissions)),
                ]
                actor, second = self._by_user(user), 36_000 + 60 * place
                events.append(
                    Event(day, second, "Consent to application", "ApplicationManagement", "Assign",
                          actor, [self._sp(index, changes)], (("AppId", world.app_ids[index]),))
                )  # fmt: skip
                graph = self._sp(0, [_change("DelegatedPermissionGrant.Scope", None, compact(scope))])
                events.append(
                    Event(day, second, "Add delegated permission grant", "ApplicationManagement", "Assign",
                          actor, [graph, self._sp(index)])
                )  # fmt: skip
        return events

    def _assignments(self) -> list[Event]:
        """An application permission given past the registration: the story of the grant that no manifest asks for."""
        world, events = self.world, []
        for index in range(world.cast_start, world.ordinary_start):
            member = world.member(index)
            for value in member.manifest_omits if member else ():
                day, second = _moment(25.0)
                changes = [
                    _change("AppRole.Value", None, compact(value)),
                    _change("ServicePrincipal.ObjectID", None, compact(world.sp_ids[index])),
                ]
                admin, targets = self._by_user(self._admin()), [self._sp(0, changes), self._sp(index)]
                activity, category = "Add app role assignment to service principal", "ApplicationManagement"
                events.append(Event(day, second + 36_000, activity, category, "Assign", admin, targets))
        return events

    def _reply_urls(self) -> list[Event]:
        """Ordinary work on registrations: reply URLs and owners."""
        world, events = self.world, []
        for number, index in enumerate(world.registered.tolist()[:_MOST_APPS]):
            member = world.member(index)
            if member and not member.expect:
                continue  # an app that is to be left alone gives no reason to look at it
            word = ids.digest(world.seed, "reply url", number)
            day, second = word[0] % DAYS, 30_000 + word[1] * 100
            actor = self._by_user(self._admin())
            change = _change("AppAddress", "[]", '[{"AddressType":0,"Address":"https://localhost/signin"}]')
            events.append(
                Event(day, second, "Update application", "ApplicationManagement", "Update", actor,
                      [self._registration(index, [change])],
                      (("AppId", world.app_ids[index]),))
            )  # fmt: skip
            for owner in world.owner(index)[:1] if number % 6 == 0 else []:
                user = _target(world.user_ids[owner], self.people.user_name(owner), "User", None)
                user["userPrincipalName"] = self.people.principal_name(owner)
                events.append(
                    Event(day, second + 40, "Add owner to application", "ApplicationManagement", "Assign", actor,
                          [user, self._registration(index)])
                )  # fmt: skip
        return events


def _moment(age: float) -> tuple[int, int]:
    """(day, second) of a moment `age` days before NOW; the day may lie outside the thirteen weeks."""
    seconds = round((DAYS - age) * 86_400)
    return seconds // 86_400, seconds % 86_400


def _change(name: str, old: str | None, new: str | None) -> dict[str, Any]:
    """One modified property."""
    return {"displayName": name, "oldValue": old, "newValue": new}


def _target(object_id: str, name: str | None, kind: str, changes: list[dict[str, Any]] | None) -> dict[str, Any]:
    """One target resource."""
    return {
        "id": object_id,
        "displayName": name,
        "type": kind,
        "userPrincipalName": None,
        "groupType": None,
        "modifiedProperties": changes or [],
    }
