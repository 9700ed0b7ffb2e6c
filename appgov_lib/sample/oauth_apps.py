"""Rows of the hunting table OAuthAppInfo, with the quirks they have on the wire.

A whole list twice a month, and a row for an app when it is added. Microsoft's own apps and managed identities are not
in it. IsAdminConsented is a number; a missing count or publisher is an empty object; permissions are JSON texts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any

import numpy as np

from appgov_lib.sample import ids
from appgov_lib.sample.calendar import NOW, days_before_now
from appgov_lib.sample.directory import Directory, compact
from appgov_lib.sample.grants import Grants
from appgov_lib.sample.hunting import Fragments, Lazy
from appgov_lib.sample.people import quoted
from appgov_lib.sample.profiles import CALLS, PROFILE_NAMES, PROFILES, Profile
from appgov_lib.sample.roles import app_roles_held
from appgov_lib.sample.world import INTERNAL, MANAGED, MICROSOFT, ODD, VERIFIED

OAUTH_APP_COLUMNS = {
    "Timestamp": "DateTime", "ReportId": "String", "OAuthAppId": "String", "ServicePrincipalId": "String",
    "AppName": "String", "AddedOnTime": "DateTime", "LastModifiedTime": "DateTime", "AppStatus": "String",
    "VerifiedPublisher": "Object", "PrivilegeLevel": "String", "Permissions": "Object",
    "ConsentedUsersCount": "Int32", "IsAdminConsented": "SByte", "AppOrigin": "String", "LastUsedTime": "DateTime",
    "AppOwnerTenantId": "String", "RiskScore": "Int32", "AssignedRoles": "Object",
}  # fmt: skip
_SNAPSHOT_DAYS = (1, 15)
_CHUNK = 2_000
_HIGH = ("ReadWrite.All", "FullControl", "Mail.", "Files.Read.All", "Sites.Read.All", "Chat.", "full_access", "AsApp")
_FAMILIES = {
    "User": ("/users", "/me"), "Directory": ("/users", "/groups", "/organization"), "Group": ("/groups",),
    "Mail": ("/messages", "sendMail"), "Calendars": ("/calendar", "/events"), "Contacts": ("/contacts",),
    "Files": ("/drive",), "Sites": ("/sites",), "Chat": ("/chats",), "Team": ("/teams",), "Channel": ("/channels",),
    "Reports": ("/reports",), "AuditLog": ("/auditLogs",),
}  # fmt: skip
"""Pieces of the paths that permissions of a family open."""


class OAuthApps:
    """Writes the table."""

    def __init__(self, directory: Directory, grants: Grants) -> None:
        """Remember where the facts come from."""
        self.directory, self.grants, self.world = directory, grants, directory.world
        self._roles = app_roles_held(directory.world)
        self._shared: dict[tuple[int, bool, bool, int], tuple[str, str]] = {}

    def rows(self, when: date) -> Iterator[Fragments]:
        """Rows of a day in pieces: everything on the first and the fifteenth, else the apps added that day."""
        world = self.world
        age = (NOW.date() - when).days
        whole = when.day in _SNAPSHOT_DAYS
        places = np.arange(world.cast_start, world.count)
        created, kind = world.created[places], world.kind[places]
        known = created >= age if whole else created == age
        chosen = places[known & ~np.isin(kind, (MICROSOFT, MANAGED, ODD))].tolist()

        def write(name: str, numbers: Sequence[int]) -> Fragments:
            """A column by which rows are chosen alone, any other one with the whole rows."""
            if name == "Timestamp":
                return {name: [f'"{_moment(index, when)}"' for index in numbers]}
            if name == "OAuthAppId":
                return {name: [f'"{world.app_ids[index]}"' for index in numbers]}
            columns = zip(*(self._row(index, when) for index in numbers), strict=True)
            return dict(zip(OAUTH_APP_COLUMNS, columns, strict=True))

        for start in range(0, len(chosen), _CHUNK):
            yield Lazy(chosen[start : start + _CHUNK], OAUTH_APP_COLUMNS, write)

    def _row(self, index: int, when: date) -> tuple[str, ...]:
        """One app as it was on a day: JSON texts in the order of OAUTH_APP_COLUMNS."""
        world, people, member = self.world, self.directory.people, self.world.member(index)
        profile = PROFILES[PROFILE_NAMES[world.profile[index]]]
        moment = _moment(index, when)
        used, publisher, verified = self.grants.last_sign_in(index), "{}", world.kind[index] == VERIFIED
        if used and used > moment:
            # The table of that day cannot know what came later.
            used = f"{when.isoformat()}T01:00:00Z" if world.first_day[index] <= 0 else None
        if verified:
            publisher = (
                f'{{"displayName":{quoted(people.vendor(index))},"verifiedPublisherId":"{5_000_000 + index % 20}",'
                f'"addedDateTime":"{days_before_now(900 + index % 300)}"}}'
            )
        level, permissions = self._held(index)
        status = "Enabled" if not member or member.enabled else "DisabledByUser"
        status = "DisabledByMicrosoft" if member and member.disabled_by_microsoft else status
        added = days_before_now(int(world.created[index]))
        internal = world.kind[index] == INTERNAL
        return (
            f'"{moment}"',
            f'"{ids.guid(world.seed, "oauth app report", f"{index}/{when}")}"',
            f'"{world.app_ids[index]}"',
            f'"{world.sp_ids[index]}"',
            quoted(people.app_name(index) or ""),
            f'"{added}"',
            f'"{max(added, days_before_now(100 + index % 90))}"',
            f'"{status}"',
            publisher,
            f'"{level}"',
            permissions,
            str(world.user_span(index)[1]) if profile.consent == "user" else "{}",
            str(int(profile.consent == "admin" or bool(profile.roles))),
            '"Internal"' if internal else '"External"',
            quoted(used),
            f'"{world.tenant_id if internal else people.vendor_tenant(index)}"',
            str({"High": 70, "Medium": 40, "Low": 10, "NA": 0}[level] + index % 20),
            compact([self._roles[index]] if index in self._roles else []),
        )

    def _held(self, index: int) -> tuple[str, str]:
        """(highest level, permissions as JSON) of an app; ordinary apps with one profile share them."""
        world = self.world
        silent = self.grants.last_sign_in(index) is None or world.first_day[index] > world.last_day[index]
        whose = index if index < world.ordinary_start else -1
        key = (int(world.profile[index]), silent, self.directory.calls_orders(index), whose)
        if key not in self._shared:
            permissions = self._permissions(index, PROFILES[PROFILE_NAMES[world.profile[index]]], silent)
            levels = [permission["PrivilegeLevel"] for permission in permissions]
            level = next((name for name in ("High", "Medium", "Low") if name in levels), "NA")
            self._shared[key] = (level, compact([compact(permission) for permission in permissions]))
        return self._shared[key]

    def _permissions(self, index: int, profile: Profile, silent: bool) -> list[dict[str, Any]]:
        """The app's permissions as the table describes them; all values are text."""
        held = [(resource, value, "Application") for resource, _, value in self.directory.app_roles(index)]
        held += [(0, value, "Delegated") for value in profile.scopes]
        return [
            {
                "PermissionValue": value,
                "PermissionType": kind,
                "InUse": "false" if silent or not _in_use(value, profile) else "true",
                "PrivilegeLevel": _level(value),
                "TargetAppId": self.world.app_ids[resource],
                "TargetAppDisplayName": self.directory.people.app_name(resource),
            }
            for resource, value, kind in held
        ]


def _moment(index: int, when: date) -> str:
    """When the row of an app is written on a day."""
    return f"{when.isoformat()}T03:{index % 60:02d}:11.0000000Z"


def _level(permission: str) -> str:
    """High for what opens content or may write everything, medium for what reads all of something, else low."""
    if any(piece in permission for piece in _HIGH):
        return "High"
    return "Medium" if permission.endswith(".All") or "Write" in permission or "Send" in permission else "Low"


def _in_use(permission: str, profile: Profile) -> bool:
    """Whether the calls of a profile need the permission; sign-in scopes are always used."""
    family = permission.split(".")[0]
    if family not in _FAMILIES:
        return "." not in permission
    paths = [CALLS[name].path for name in profile.calls]
    return any(piece in path for piece in _FAMILIES[family] for path in paths)
