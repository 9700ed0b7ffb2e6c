"""Who was granted what: delegated grants and app role assignments; and the sign-in reports."""

from __future__ import annotations

import base64
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from appgov_lib.sample import ids
from appgov_lib.sample.calendar import days_before_now, stamp
from appgov_lib.sample.directory import Directory, compact
from appgov_lib.sample.profiles import PROFILE_NAMES, PROFILES
from appgov_lib.sample.rhythm import Rhythm
from appgov_lib.sample.world import VERIFIED

_NEVER = '{"lastSignInDateTime":null,"lastSignInRequestId":null}'


class Grants:
    """Writes grants, assignments and reports for a world."""

    def __init__(self, directory: Directory, rhythm: Rhythm) -> None:
        """Remember what the records are made from."""
        self.directory, self.rhythm, self.world = directory, rhythm, directory.world

    # ---- delegated grants ------------------------------------------------------------------------------------------

    @cached_property
    def grant_ends(self) -> NDArray[np.int64]:
        """Cumulative number of delegated grants by service principal."""
        return np.cumsum([self._grants_of(index) for index in range(self.world.count)])

    def _grants_of(self, index: int) -> int:
        """How many delegated grants an app has: one by an administrator, or one for each user who consented."""
        profile = PROFILES[PROFILE_NAMES[self.world.profile[index]]]
        if profile.consent == "admin":
            return 1
        return self.world.user_span(index)[1] if profile.consent == "user" else 0

    @property
    def grant_count(self) -> int:
        """All delegated grants."""
        return int(self.grant_ends[-1])

    def grant(self, number: int) -> bytes:
        """Delegated grant `number`."""
        index = int(np.searchsorted(self.grant_ends, number, side="right"))
        place = number - (int(self.grant_ends[index - 1]) if index else 0)
        return self.app_grant(index, place)

    def app_grant(self, index: int, place: int) -> bytes:
        """Delegated grant `place` of an app; the scope of some starts with a blank, as in real tenants."""
        world = self.world
        profile = PROFILES[PROFILE_NAMES[world.profile[index]]]
        scope = (" " if index % 7 == 0 else "") + " ".join(profile.scopes)
        principal = "null"
        if profile.consent == "user":
            principal = f'"{world.user_ids[self.consenting_user(index, place)]}"'
        consent = "Principal" if principal != "null" else "AllPrincipals"
        return (
            f'{{"clientId":"{world.sp_ids[index]}","consentType":"{consent}",'
            f'"id":"{ids.opaque(world.seed, "grant", f"{index}/{place}")}","principalId":{principal},'
            f'"resourceId":"{world.sp_ids[0]}","scope":"{scope}"}}'
        ).encode()

    def consenting_user(self, index: int, place: int) -> int:
        """User index of the app's consenting user number `place`."""
        active = self.world.active_users
        return int(active[(self.world.user_span(index)[0] + place) % len(active)])

    def grants_of_app(self, index: int) -> list[bytes]:
        """All delegated grants of an app."""
        return [self.app_grant(index, place) for place in range(self._grants_of(index))]

    # ---- app role assignments --------------------------------------------------------------------------------------

    def assignments_of(self, index: int) -> list[bytes]:
        """App role assignments that a client holds."""
        return [self._assignment(index, place) for place in range(len(self.directory.app_roles(index)))]

    def _assignment(self, index: int, place: int) -> bytes:
        """One app role assignment of a service principal."""
        world, people = self.world, self.directory.people
        resource, role, _ = self.directory.app_roles(index)[place]
        age = max(0.5, int(world.created[index]) - 1 - ids.pick(world.seed, "assigned", index, 20))
        member = world.member(index)
        if member and member.manifest_omits:
            age = 25.0
        return compact(
            {
                "id": ids.opaque(world.seed, "assignment", f"{index}/{place}"),
                "deletedDateTime": None,
                "appRoleId": role,
                "createdDateTime": days_before_now(age),
                "principalDisplayName": people.app_name(index),
                "principalId": world.sp_ids[index],
                "principalType": "ServicePrincipal",
                "resourceDisplayName": people.app_name(resource),
                "resourceId": world.sp_ids[resource],
            }
        ).encode()

    @cached_property
    def _by_resource(self) -> dict[int, list[tuple[int, int]]]:
        """(client, place) of every assignment by resource."""
        found: dict[int, list[tuple[int, int]]] = {}
        for index in range(self.world.cast_start, self.world.count):
            for place, (resource, _, _) in enumerate(self.directory.app_roles(index)):
                found.setdefault(resource, []).append((index, place))
        return found

    def assigned_count(self, resource: int) -> int:
        """Assignments to a resource."""
        return len(self._by_resource.get(resource, ())) + self._people_assigned(resource)

    def assigned_without(self, resource: int, gone: set[int]) -> list[int]:
        """Numbers of the assignments to a resource whose client is not one of `gone`."""
        apps = self._by_resource.get(resource, [])
        kept = [number for number, (client, _) in enumerate(apps) if client not in gone]
        return kept + list(range(len(apps), self.assigned_count(resource)))

    def assigned(self, resource: int, number: int) -> bytes:
        """Assignment `number` to a resource: apps first, then people with default access."""
        apps = self._by_resource.get(resource, [])
        if number < len(apps):
            return self._assignment(*apps[number])
        user = int(self.world.active_users[number % len(self.world.active_users)])
        people = self.directory.people
        return compact(
            {
                "id": ids.opaque(self.world.seed, "person", f"{resource}/{number}"),
                "deletedDateTime": None,
                "appRoleId": "00000000-0000-0000-0000-000000000000",
                "createdDateTime": days_before_now(200),
                "principalDisplayName": people.user_name(user),
                "principalId": self.world.user_ids[user],
                "principalType": "User",
                "resourceDisplayName": people.app_name(resource),
                "resourceId": self.world.sp_ids[resource],
            }
        ).encode()

    def _people_assigned(self, resource: int) -> int:
        """People assigned to a gallery app."""
        return 3 + resource % 5 if self.world.kind[resource] == VERIFIED and resource % 6 == 0 else 0

    # ---- reports ---------------------------------------------------------------------------------------------------

    @cached_property
    def _last(self) -> list[tuple[str | None, int]]:
        """(time of the newest sign-in or None, stream) of every app."""
        days, seconds, streams = (array.tolist() for array in self.rhythm.last_sign_in())
        found: list[tuple[str | None, int]] = []
        for index, (day, second, stream) in enumerate(zip(days, seconds, streams, strict=True)):
            if day >= 0:
                found.append((stamp(day, second), stream))
                continue
            member = self.world.member(index)
            age = member.last_sign_in if member else None
            if self.world.stale[index]:
                age = 95 + ids.pick(self.world.seed, "stale", index, 300)
            found.append((days_before_now(age + 0.37) if age else None, 0))
        return found

    def last_sign_in(self, index: int) -> str | None:
        """Time of the newest sign-in of an app, from before the thirteen weeks if need be."""
        return self._last[index][0]

    @cached_property
    def signed_in(self) -> list[int]:
        """Apps with a sign-in on record."""
        return [index for index in range(self.world.count) if self._last[index][0]]

    def sign_in_activity(self, number: int) -> bytes:
        """A row of the report servicePrincipalSignInActivities (beta)."""
        index = self.signed_in[number]
        when, stream = self._last[index]
        app_id = self.world.app_ids[index]
        request = "Aggregated" if index % 4 else ids.guid(self.world.seed, "request", index)
        last = f'{{"lastSignInDateTime":"{when}","lastSignInRequestId":"{request}"}}'
        return (
            f'{{"id":"{base64.b64encode(app_id.encode()).decode()}","appId":"{app_id}","lastSignInActivity":{last},'
            f'"delegatedClientSignInActivity":{last if stream < 2 else _NEVER},'
            f'"delegatedResourceSignInActivity":{_NEVER},'
            f'"applicationAuthenticationClientSignInActivity":{last if stream >= 2 else _NEVER},'
            f'"applicationAuthenticationResourceSignInActivity":{_NEVER}}}'
        ).encode()

    @cached_property
    def _reported_keys(self) -> list[tuple[int, int]]:
        """(app, place) of every credential that the credential report lists: those that were used at least once."""
        found = []
        for index in range(self.world.cast_start, self.world.count):
            for place, credential in enumerate(self.world.credentials(index)):
                used = credential.last_used is not None or self._last[index][0] is not None
                if credential.kind != "federated" and used:
                    found.append((index, place))
        return found

    @property
    def key_count(self) -> int:
        """Rows of the credential report."""
        return len(self._reported_keys)

    def key_activity(self, number: int) -> bytes:
        """A row of the report appCredentialSignInActivities (beta), without the service principal, as on the wire."""
        index, place = self._reported_keys[number]
        world, credential = self.world, self.world.credentials(index)[place]
        used = self._last[index][0] if credential.last_used is None else days_before_now(credential.last_used)
        on_application = self.directory.on_application(index)
        key_id = world.key_id(index, place)
        registration = int(np.searchsorted(world.registered, index)) if on_application else None
        origin = "application" if on_application else "servicePrincipal"
        return compact(
            {
                "id": base64.b64encode(f"{key_id}|{origin}".encode()).decode(),
                "keyId": key_id,
                "keyType": "clientSecret" if credential.kind == "secret" else "certificate",
                "keyUsage": "verify" if credential.kind == "certificate" else "sign",
                "appId": world.app_ids[index],
                "appObjectId": self.directory.application_id(registration) if registration is not None else None,
                "servicePrincipalObjectId": None,
                "resourceId": world.sp_ids[0],
                "credentialOrigin": origin,
                "createdDateTime": days_before_now(credential.starts),
                "expirationDateTime": days_before_now(credential.ends),
                "signInActivity": {
                    "lastSignInDateTime": used,
                    "lastSignInRequestId": ids.guid(world.seed, "key request", number),
                },
            }
        ).encode()
