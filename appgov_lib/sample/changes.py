"""Changes to the directory on request: the n-th change is always the same, and lists and delta queries show it.

The tenant itself never changes; what was renamed, added or removed lies over it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
import numpy as np

from appgov_lib.errors import ConfigError
from appgov_lib.sample import ids
from appgov_lib.sample.calendar import days_before_now
from appgov_lib.sample.collections import Lookup, Plain
from appgov_lib.sample.directory import Directory, compact
from appgov_lib.sample.grants import Grants
from appgov_lib.sample.world import INTERNAL, UNVERIFIED, VERIFIED

APPS, REGISTRATIONS, GRANTS, USERS = PATHS = (
    "/servicePrincipals",
    "/applications",
    "/oauth2PermissionGrants",
    "/users",
)
KINDS = (
    "rename_app",
    "add_password",
    "add_grant",
    "delete_service_principal",
    "rename_user",
    "delete_grant",
    "delete_user",
)
"""What the first, second, ... change does, over and over."""
_STRIDE = 7_919
"""A prime, so that turns run over all of a list before any comes twice."""
_decode = msgspec.json.Decoder().decode


@dataclass(frozen=True)
class Change:
    """One object that one change touched: `number` is its place in its list as it was at the start."""

    version: int
    kind: str
    path: str
    number: int
    id: str
    removed: str = ""
    """Why it is gone: `changed` while it can be restored, `deleted` for good."""
    properties: frozenset[str] = frozenset()


@dataclass
class _Layer:
    """What lies over one list."""

    patches: dict[int, dict[str, Any]] = field(default_factory=dict)
    removed: dict[int, str] = field(default_factory=dict)
    added: list[bytes] = field(default_factory=list)
    alive: list[int] | None = None


@dataclass(frozen=True)
class _Also:
    """An index of a list, and of what was added to it."""

    index: Lookup
    added: dict[str, int]

    def get(self, key: str, /) -> int | None:
        """The number of a row."""
        found = self.added.get(key)
        return self.index.get(key) if found is None else found


class Changes:
    """The changes made so far."""

    def __init__(self, directory: Directory, grants: Grants) -> None:
        """Start without any."""
        self.directory, self.grants, self.world = directory, grants, directory.world
        self.version = 0
        self.log: list[Change] = []
        self._layers = {path: _Layer() for path in PATHS}
        self._sizes = {APPS: self.world.count, REGISTRATIONS: directory.application_count,
                       GRANTS: grants.grant_count, USERS: self.world.size.users}  # fmt: skip
        kind, first = self.world.kind, self.world.ordinary_start
        places = np.arange(self.world.count)
        self._internal = places[(kind == INTERNAL) & (places >= first)].tolist()
        self._external = places[np.isin(kind, (VERIFIED, UNVERIFIED)) & (places >= first)].tolist()
        self._counts = dict.fromkeys(KINDS, 0)

    def apply(self, many: int, kind: str = "") -> list[Change]:
        """Make the next `many` changes, all of one kind or of all kinds by turns. Raises ConfigError."""
        if kind and kind not in KINDS:
            raise ConfigError(f"Unknown change '{kind}'. Known: {', '.join(KINDS)}.")
        start = len(self.log)
        for _ in range(many):
            chosen = kind or KINDS[self.version % len(KINDS)]
            self.version += 1
            self._counts[chosen] += 1
            made: Callable[[int], None] = getattr(self, f"_{chosen}")
            made(self._counts[chosen] - 1)
        return self.log[start:]

    # ---- what the changes do ---------------------------------------------------------------------------------------

    def _note(self, kind: str, path: str, number: int, identifier: str, removed: str = "", *properties: str) -> None:
        """Put a changed object into the log."""
        if removed:
            self._layers[path].removed[number] = removed
            self._layers[path].alive = None
        self.log.append(Change(self.version, kind, path, number, identifier, removed, frozenset(properties)))

    def _patch(self, path: str, number: int, values: dict[str, Any]) -> None:
        """Give an object new values."""
        self._layers[path].patches.setdefault(number, {}).update(values)

    def _nth(self, choices: Sequence[int], turn: int, path: str) -> int:
        """One of `choices` that is not removed, another one at each turn as long as there are any."""
        removed = self._layers[path].removed
        for step in range(len(choices)):
            found = choices[(turn * _STRIDE + step) % len(choices)]
            if found not in removed:
                return int(found)
        raise ConfigError(f"Nothing is left in {path[1:]} that this change could be made to.")

    def _rename_app(self, turn: int) -> None:
        """An internal app and its registration get another name."""
        index = self._nth(self._internal, turn, APPS)
        number = int(self.world.registered.searchsorted(index))
        name = f"{self.directory.people.app_name(index)} (renamed {turn + 1})"
        self._patch(APPS, index, {"displayName": name, "appDisplayName": name})
        self._patch(REGISTRATIONS, number, {"displayName": name})
        self._note("rename_app", APPS, index, self.world.sp_ids[index], "", "displayName", "appDisplayName")
        self._note("rename_app", REGISTRATIONS, number, self.directory.application_id(number), "", "displayName")

    def _add_password(self, turn: int) -> None:
        """A registration gets one more secret, valid from now for half a year."""
        number = int(self.world.registered.searchsorted(self._nth(self._internal[::-1], turn, APPS)))
        record = _decode(self._current(REGISTRATIONS, number, self.directory.application))
        key_id = ids.guid(self.world.seed, "added key", turn)
        secret = {
            "customKeyIdentifier": None,
            "displayName": f"added {turn + 1}",
            "endDateTime": days_before_now(-180),
            "hint": key_id[:3],
            "keyId": key_id,
            "secretText": None,
            "startDateTime": days_before_now(0),
        }
        self._patch(REGISTRATIONS, number, {"passwordCredentials": [*record["passwordCredentials"], secret]})
        self._note("add_password", REGISTRATIONS, number, record["id"], "", "passwordCredentials")

    def _add_grant(self, turn: int) -> None:
        """A user lets an external app read their profile."""
        index = self._nth(self._external, turn, APPS)
        world = self.world
        user = int(world.active_users[ids.pick(world.seed, "new grant", turn, len(world.active_users))])
        identifier = ids.opaque(world.seed, "added grant", turn)
        record = {
            "clientId": world.sp_ids[index],
            "consentType": "Principal",
            "id": identifier,
            "principalId": world.user_ids[user],
            "resourceId": world.sp_ids[0],
            "scope": "User.Read offline_access",
        }
        layer = self._layers[GRANTS]
        layer.added.append(compact(record).encode())
        layer.alive = None
        number = self._sizes[GRANTS] + len(layer.added) - 1
        self._note("add_grant", GRANTS, number, identifier, "", *record)

    def _delete_service_principal(self, turn: int) -> None:
        """An external app goes, and its grants with it."""
        kind, index = "delete_service_principal", self._nth(self._external[::-1], turn, APPS)
        for number, row in list(self.grants_of(index)):
            self._note(kind, GRANTS, number, _decode(row)["id"], "deleted")
        self._note(kind, APPS, index, self.world.sp_ids[index], "changed")

    def _rename_user(self, turn: int) -> None:
        """A person changes their name."""
        user = self._nth(self.world.active_users.tolist(), turn, USERS)
        name = f"{self.directory.people.user_name(user)}-Renamed"
        self._patch(USERS, user, {"displayName": name})
        self._note("rename_user", USERS, user, self.world.user_ids[user], "", "displayName")

    def _delete_grant(self, turn: int) -> None:
        """One grant of an external app is taken back."""
        for step in range(len(self._external)):
            index = self._external[(7 * turn + step) % len(self._external)]
            found = next(iter(self.grants_of(index)), None)
            if found:
                self._note("delete_grant", GRANTS, found[0], _decode(found[1])["id"], "deleted")
                return
        raise ConfigError("No grant is left that this change could be made to.")

    def _delete_user(self, turn: int) -> None:
        """A guest goes; guests consent to nothing and own nothing."""
        user = self._nth(range(19, self.world.size.users, 20), turn, USERS)
        self._note("delete_user", USERS, user, self.world.user_ids[user], "changed")

    # ---- what they look like ---------------------------------------------------------------------------------------

    def is_removed(self, path: str, number: int, how: str = "") -> bool:
        """Whether an object is gone; `how`: `changed` while it can be restored, `deleted` for good."""
        why = self._layers[path].removed.get(number)
        return why == how if how else why is not None

    def removed(self, path: str, how: str = "") -> list[int]:
        """Numbers of the objects of a list that are gone, in the order in which they went."""
        return [number for number, why in self._layers[path].removed.items() if not how or why == how]

    def grants_of(self, index: int) -> Iterator[tuple[int, bytes]]:
        """(number, record) of the delegated grants that an app holds now."""
        layer, first = self._layers[GRANTS], int(self.grants.grant_ends[index - 1]) if index else 0
        for place in range(int(self.grants.grant_ends[index]) - first):
            if first + place not in layer.removed:
                yield first + place, self._current(GRANTS, first + place, self.grants.grant)
        client = f'"clientId":"{self.world.sp_ids[index]}"'.encode()
        for place, row in enumerate(layer.added):
            if client in row and self._sizes[GRANTS] + place not in layer.removed:
                yield self._sizes[GRANTS] + place, row

    # ---- written from outside --------------------------------------------------------------------------------------

    def write(self, path: str, number: int, identifier: str, values: dict[str, Any]) -> None:
        """Write values of an object; what is again as at the start leaves no trace in it."""
        layer = self._layers[path]
        self.version += 1
        if number >= self._sizes[path]:
            place = number - self._sizes[path]
            layer.added[place] = compact(_decode(layer.added[place]) | values).encode()
        else:
            directory = self.directory
            rows = {APPS: directory.service_principal, REGISTRATIONS: directory.application, USERS: directory.user}
            start = _decode(rows.get(path, self.grants.grant)(number))
            patch = layer.patches.pop(number, {}) | values
            changed = {name: value for name, value in patch.items() if name not in start or start[name] != value}
            if changed:
                layer.patches[number] = changed
        self._note("written", path, number, identifier, "", *values)

    def drop(self, path: str, number: int, identifier: str, how: str = "deleted") -> None:
        """Remove an object for good, or so that it can be restored (`changed`)."""
        self.version += 1
        self._note("written", path, number, identifier, how)

    def bring_back(self, path: str, number: int, identifier: str) -> None:
        """Restore an object."""
        self.version += 1
        self._layers[path].removed.pop(number)
        self._layers[path].alive = None
        self._note("written", path, number, identifier, "", "deletedDateTime")

    def add_app(self, record: dict[str, Any]) -> None:
        """Add a service principal."""
        self._add(APPS, record)

    def add_grant(self, record: dict[str, Any]) -> None:
        """Add a delegated grant."""
        self._add(GRANTS, record)

    def _add(self, path: str, record: dict[str, Any]) -> None:
        """Add an object at the end of its list."""
        layer = self._layers[path]
        self.version += 1
        layer.added.append(compact(record).encode())
        layer.alive = None
        self._note("written", path, self._sizes[path] + len(layer.added) - 1, record["id"], "", *record)

    def place_of_added(self, key: str) -> int | None:
        """Number of a service principal that was added, by its id."""
        return next((number for number, record in self._added_apps() if record["id"] == key), None)

    def added_app(self, app_id: str) -> str | None:
        """Id of the service principal that was added for an app and is not gone."""
        gone = self._layers[APPS].removed
        found = (each["id"] for number, each in self._added_apps() if each["appId"] == app_id and number not in gone)
        return next(found, None)

    def _added_apps(self) -> list[tuple[int, dict[str, Any]]]:
        """(number, record) of the service principals that were added."""
        return [(self._sizes[APPS] + place, _decode(row)) for place, row in enumerate(self._layers[APPS].added)]

    def over(self, path: str, found: Plain) -> Plain:
        """A list as it is now."""
        layer = self._layers[path]
        if not (layer.patches or layer.removed or layer.added):
            return found
        row = found.row
        found = replace(
            found,
            count=self._sizes[path] + len(layer.added),
            row=lambda number: self._current(path, number, row),
        )
        if path == APPS and layer.added:
            found = self._with_added(found)
        if layer.alive is None:
            layer.alive = [number for number in range(found.count) if number not in layer.removed]
        return found.chosen(layer.alive)

    def _with_added(self, found: Plain) -> Plain:
        """The service principals, those that were added found by their keys too; they have no owners."""
        size, added = self._sizes[APPS], self._added_apps()
        keys = {name: {record[name]: number for number, record in added} for name in ("id", "appId")}

        def also(name: str, index: Callable[[], Lookup]) -> Callable[[], Lookup]:
            """An index and what was added."""
            return lambda: _Also(index(), keys[name])

        def none(expand: Callable[[int], Any]) -> Callable[[int], Any]:
            """What an added one has of a relation."""
            return lambda number: expand(number) if number < size else []

        return replace(
            found,
            brief=None,
            related={},
            index={name: also(name, index) for name, index in found.index.items()},
            expanders={name: none(expand) for name, expand in found.expanders.items()},
        )

    def current(self, path: str, number: int, row: Callable[[int], bytes]) -> bytes:
        """An object as it is now, or was when it went."""
        return self._current(path, number, row)

    def _current(self, path: str, number: int, row: Callable[[int], bytes]) -> bytes:
        """An object as it is now."""
        layer = self._layers[path]
        if number >= self._sizes[path]:
            return layer.added[number - self._sizes[path]]
        patch = layer.patches.get(number)
        return compact(_decode(row(number)) | patch).encode() if patch else row(number)

    def since(self, path: str, version: int, upto: int, names: list[str], found: Plain) -> list[bytes]:
        """What a delta query says of a list between two versions: changed objects, and what is left of removed ones.

        With names, as of a `$select`, only changes of these properties count. `found` is the list as at the start.
        """
        last: dict[int, Change] = {}
        for change in self.log:
            counts = change.removed or not names or change.properties & set(names)
            if change.path == path and version < change.version <= upto and counts:
                last.pop(change.number, None)
                last[change.number] = change
        rows = []
        for change in last.values():
            if change.removed:
                rows.append(compact({"id": change.id, "@removed": {"reason": change.removed}}).encode())
            else:
                rows.append(self._current(path, change.number, found.row))
        return rows
