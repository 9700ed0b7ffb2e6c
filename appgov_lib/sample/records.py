"""Rows of the logs as Graph writes them: sign-ins (v1.0 and beta) and API requests."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from appgov_lib.sample import ids
from appgov_lib.sample.calendar import DATES, SECOND_OF_DAY
from appgov_lib.sample.people import People, Place, quoted
from appgov_lib.sample.profiles import CALLS, PROFILE_NAMES, PROFILES
from appgov_lib.sample.rhythm import CALL_NAMES, CALL_STREAM, Events, Rhythm
from appgov_lib.sample.world import INTERNAL, MANAGED, MICROSOFT, MICROSOFT_TENANT, World

EVENT_TYPES = {"interactiveUser": 0, "nonInteractiveUser": 1, "servicePrincipal": 2, "managedIdentity": 3}
_TYPE_NAMES = tuple(EVENT_TYPES)
_USER_ERRORS = (
    (50126, "Error validating credentials due to invalid username or password."),
    (50074, "Strong Authentication is required."),
    (53003, "Access has been blocked by Conditional Access policies."),
)
_APP_ERRORS = (
    (7000215, "Invalid client secret is provided."),
    (700027, "Client assertion failed signature validation."),
)
_AGENTS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 14_6) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.6 Safari/605",
)
_CLIENTS = ("Browser", "Mobile Apps and Desktop clients")
_NOWHERE = (
    '{"city":"","state":"","countryOrRegion":"","geoCoordinates":{"altitude":null,"latitude":0.0,"longitude":0.0}}'
)
_CALL_SALT, _SIGN_IN_SALT = np.uint64(0x99), np.uint64(0x77)
_FAILING = (4, 4, 1, 0)
"""Failed sign-ins of a hundred by stream."""
_FAILED = ('"404"', '"403"', '"429"', '"500"')
_Made = tuple[str, bool, tuple[str, str, str] | None, str, str, str, str, str, str, str]
HUNTING_COLUMNS = {
    "Timestamp": "DateTime", "RequestId": "String", "OperationId": "String", "ClientRequestId": "String",
    "ApplicationId": "String", "ServicePrincipalId": "String", "AccountObjectId": "String", "EntityType": "String",
    "RequestMethod": "String", "RequestUri": "String", "ApiVersion": "String", "ResponseStatusCode": "String",
    "RequestDuration": "String", "ResponseSize": "Int64", "TargetWorkload": "String", "Scopes": "String",
    "UniqueTokenIdentifier": "String", "IPAddress": "String", "Location": "String", "IdentityProvider": "String",
    "ReportId": "String",
}  # fmt: skip
"""Columns of the hunting table GraphApiAuditEvents; several numbers travel as text, as in the service."""


class Records:
    """Writes the events of a rhythm as JSON."""

    def __init__(self, world: World, rhythm: Rhythm) -> None:
        """Prepare what is the same for every row of an app, lazily."""
        self.world, self.rhythm, self.people = world, rhythm, People(world)
        self._users: dict[int, tuple[str, str, str, str, Place]] = {}
        self._apps: dict[int, tuple[str, str, str, str]] = {}
        self._made: dict[tuple[int, int], _Made] = {}
        self._keys: dict[int, list[tuple[str, str]]] = {}
        self._objects = [world.object_ids[number] for number in range(len(world.object_ids))]
        self._resources = {app_id: number for number, (app_id, _) in enumerate(world.microsoft)}

    # ---- pieces ----------------------------------------------------------------------------------------------------

    def _user(self, user: int) -> tuple[str, str, str, str, Place]:
        """(id, principal name, display name as JSON, address, place) of a user."""
        known = self._users.get(user)
        if known is None:
            people = self.people
            known = self._users[user] = (
                self.world.user_ids[user],
                people.principal_name(user),
                quoted(people.user_name(user)),
                people.user_address(user),
                people.user_place(user),
            )
        return known

    @cached_property
    def _spans(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(first, how many) places in `active_users` of every app's people."""
        spans = np.array([self.world.user_span(index) for index in range(self.world.count)], np.int64)
        return spans[:, 0], spans[:, 1]

    def _users_of(self, app: NDArray[np.int32], word: NDArray[np.uint64]) -> NDArray[np.int64]:
        """The user behind each event: the first of an app's users do most of the work."""
        first, many = self._spans
        share = ids.uniform(word << np.uint64(20))
        place = first[app] + (share * share * many[app]).astype(np.int64)
        return self.world.active_users[place % len(self.world.active_users)]

    def _app(self, index: int) -> tuple[str, str, str, str]:
        """(app id, service principal id, name as JSON, owner tenant) of an app."""
        known = self._apps.get(index)
        if known is None:
            world = self.world
            kind = world.kind[index]
            if kind in (INTERNAL, MANAGED):
                owner = world.tenant_id
            else:
                owner = MICROSOFT_TENANT if kind == MICROSOFT else self.people.vendor_tenant(index)
            known = self._apps[index] = (
                world.app_ids[index],
                world.sp_ids[index],
                quoted(self.people.app_name(index)),
                owner,
            )
        return known

    def _key(self, index: int, word: int, day: int) -> tuple[str, str]:
        """(key id, clientCredentialType) of the credential used: a live one of the app, or one of its home tenant."""
        keys = self._keys.get(index)
        if keys is None:
            types = {"secret": "clientSecret", "certificate": "certificate", "federated": "federatedIdentityCredential"}
            found = [
                (self.world.key_id(index, place), types[credential.kind])
                for place, credential in enumerate(self.world.credentials(index))
                if credential.last_used is None
            ]
            keys = self._keys[index] = found or [(ids.guid(self.world.seed, "foreign key", index), "clientSecret")]
        member = self.world.member(index)
        if member and member.intruder and day < member.intruder.day:
            keys = [key for key in keys if key[0] != self.world.key_id(index, member.intruder.credential)]
        return keys[word % len(keys)]

    def _app_address(self, index: int, turn: int, key: str) -> str:
        """The address an app signs in from with the credential `key`."""
        member = self.world.member(index)
        if member and member.intruder and key == self.world.key_id(index, member.intruder.credential):
            return self.people.intruder_address(index, turn)
        return self.people.app_address(index, turn)

    def resource(self, index: int) -> tuple[str, str, str]:
        """(app id, name, service principal id) of the API the app signs in to."""
        number = self._resources[PROFILES[PROFILE_NAMES[self.world.profile[index]]].resource_app]
        app_id, name = self.world.microsoft[number]
        return app_id, name, self.world.sp_ids[number]

    # ---- sign-ins --------------------------------------------------------------------------------------------------

    def sign_ins(self, stream: int, day: int, events: Events, start: int, stop: int, beta: bool) -> list[bytes]:
        """Rows `start` to `stop` of a day's sign-ins. beta adds what only beta has."""
        app, word = events.app[start:stop], events.word[start:stop]
        other = ids.mix(word ^ _SIGN_IN_SALT)
        numbers = zip(
            app.tolist(),
            events.second[start:stop].tolist(),
            self._users_of(app, word).tolist(),
            other.tolist(),
            ids.guids(word, other),
            ids.guids(other, word),
            strict=True,
        )
        if stream < 2:
            return [self._user_sign_in(stream, day, *event, beta=beta).encode() for event in numbers]
        return [self._app_sign_in(stream, day, *event).encode() for event in numbers]

    def _user_sign_in(
        self,
        stream: int,
        day: int,
        app: int,
        second: int,
        user: int,
        other: int,
        identifier: str,
        correlation: str,
        *,
        beta: bool,
    ) -> str:
        """One sign-in of a user."""
        user_id, upn, name, address, place = self._user(user)
        app_id, _, app_name, owner = self._app(app)
        resource_id, resource_name, resource_sp = self.resource(app)
        failed = other % 100 < _FAILING[stream]
        error, reason = _USER_ERRORS[other // 100 % 3] if failed else (0, "Other.")
        common = (
            f'{{"id":"{identifier}","createdDateTime":"{DATES[day]}T{SECOND_OF_DAY[second]}Z","userDisplayName":{name},'
            f'"userPrincipalName":"{upn}","userId":"{user_id}","appId":"{app_id}","appDisplayName":{app_name},'
            f'"ipAddress":"{address}","clientAppUsed":"{_CLIENTS[stream]}",'
            f'"correlationId":"{correlation}","conditionalAccessStatus":"notApplied",'
            f'"isInteractive":{"true" if stream == 0 else "false"},"riskDetail":"none","riskLevelAggregated":"none",'
            f'"riskLevelDuringSignIn":"none","riskState":"none","riskEventTypes_v2":[],'
            f'"resourceDisplayName":"{resource_name}","resourceId":"{resource_id}",'
            f'"status":{{"errorCode":{error},"failureReason":"{reason}","additionalDetails":null}},'
            f'"deviceDetail":{{"deviceId":"","displayName":null,"operatingSystem":"Windows10",'
            f'"browser":"Chrome 130.0.0","isCompliant":null,"isManaged":null,"trustType":null}},'
            f'"location":{place.json},'
            f'"appliedConditionalAccessPolicies":[]'
        )
        if not beta:
            return common + ',"riskEventTypes":[]}'
        return (
            f'{common},"signInEventTypes":["{_TYPE_NAMES[stream]}"],"servicePrincipalId":"","servicePrincipalName":null,'
            f'"userAgent":"{_AGENTS[user % 2]}","userType":"member","homeTenantId":"{self.world.tenant_id}",'
            f'"resourceTenantId":"{self.world.tenant_id}","resourceServicePrincipalId":"{resource_sp}","appOwnerTenantId":"{owner}",'
            f'"resourceOwnerTenantId":"{MICROSOFT_TENANT}","uniqueTokenIdentifier":"{identifier[:18]}","incomingTokenType":"none",'
            f'"authenticationProtocol":"none","clientCredentialType":"none","autonomousSystemNumber":{place.asn},'
            f'"crossTenantAccessType":"none","authenticationRequirement":"singleFactorAuthentication",'
            f'"processingTimeInMilliseconds":{other % 400},"flaggedForReview":false,"tokenIssuerType":"AzureAD",'
            f'"authenticationProcessingDetails":[],"networkLocationDetails":[],"sessionId":"{correlation[:24]}{day:012d}"}}'
        )

    def _app_sign_in(
        self, stream: int, day: int, app: int, second: int, _user: int, other: int, identifier: str, correlation: str
    ) -> str:
        """One sign-in of a service principal or managed identity (beta only)."""
        app_id, sp_id, app_name, owner = self._app(app)
        resource_id, resource_name, resource_sp = self.resource(app)
        failed = other % 100 < _FAILING[stream]
        error, reason = _APP_ERRORS[other // 100 % 2] if failed else (0, None)
        if stream == 3:
            key, kind, address = "", "managedIdentity", ""
            place = _NOWHERE
            asn: int | str = "null"
        else:
            key, kind = self._key(app, other >> 8, day)
            address = self._app_address(app, other, key)
            where = self.people.app_place(app, address)
            place, asn = where.json, where.asn
        return (
            f'{{"id":"{identifier}","createdDateTime":"{DATES[day]}T{SECOND_OF_DAY[second]}Z",'
            f'"userDisplayName":null,"userPrincipalName":null,"userId":"","appId":"{app_id}","appDisplayName":{app_name},'
            f'"ipAddress":"{address}","clientAppUsed":null,"correlationId":"{correlation}",'
            f'"conditionalAccessStatus":"notApplied","isInteractive":false,"riskDetail":"none","riskLevelAggregated":"none",'
            f'"riskLevelDuringSignIn":"none","riskState":"none","riskEventTypes_v2":[],"resourceDisplayName":"{resource_name}",'
            f'"resourceId":"{resource_id}","status":{{"errorCode":{error},"failureReason":{quoted(reason)},"additionalDetails":null}},'
            f'"location":{place},"appliedConditionalAccessPolicies":[],"signInEventTypes":["{_TYPE_NAMES[stream]}"],'
            f'"servicePrincipalId":"{sp_id}","servicePrincipalName":{app_name},"servicePrincipalCredentialKeyId":"{key}",'
            f'"servicePrincipalCredentialThumbprint":"","clientCredentialType":"{kind}","federatedCredentialId":"",'
            f'"resourceServicePrincipalId":"{resource_sp}","resourceTenantId":"{self.world.tenant_id}","appOwnerTenantId":"{owner}",'
            f'"resourceOwnerTenantId":"{MICROSOFT_TENANT}","homeTenantId":"{self.world.tenant_id}","uniqueTokenIdentifier":"{identifier[:18]}",'
            f'"autonomousSystemNumber":{asn},"incomingTokenType":"none","authenticationProtocol":"none","userType":null,'
            f'"crossTenantAccessType":"none","processingTimeInMilliseconds":{other % 200},"flaggedForReview":false,'
            f'"tokenIssuerType":"AzureAD","managedServiceIdentity":null}}'
        )

    # ---- API requests ----------------------------------------------------------------------------------------------

    def calls(self, day: int, start: int, stop: int) -> dict[str, Sequence[str]]:
        """Rows `start` to `stop` of a day's API requests, newest first: JSON fragments by column of HUNTING_COLUMNS."""
        return self.calls_at(day, slice(start, stop))

    def calls_at(self, day: int, places: slice | NDArray[np.int64]) -> dict[str, Sequence[str]]:
        """The same for any places among the day's API requests."""
        events = self.rhythm.events(CALL_STREAM, day)
        app, word, group = events.app[places], events.word[places], events.group[places]
        if not len(app):
            return dict.fromkeys(HUNTING_COLUMNS, ())
        other, leader = ids.mix(word ^ _CALL_SALT), ids.mix(group ^ _CALL_SALT)
        rows = map(
            self._call,
            [day] * len(app),
            app.tolist(),
            events.call[places].tolist(),
            events.second[places].tolist(),
            word.tolist(),
            other.tolist(),
            events.size[places].tolist(),
            self._users_of(app, word).tolist(),
            self._users_of(app, other).tolist(),
            ids.guids(word, other),
            ids.guids(group, leader),
            ids.guids(other, word),
        )
        return dict(zip(HUNTING_COLUMNS, zip(*rows, strict=True), strict=True))

    def _call(
        self, day: int, app: int, call: int, second: int, word: int, other: int, size: int, user: int, target: int,
        request: str, operation: str, client: str,
    ) -> tuple[str, ...]:  # fmt: skip
        """One API request as JSON fragments in the order of HUNTING_COLUMNS."""
        made = self._made.get((app, call))
        if made is None:
            made = self._made[app, call] = self._make_call(app, call)
        uri, delegated, behind, status, method, workload, scopes, app_id, sp_id, identity = made
        if "{" in uri:
            near = app * 3 + other % 5
            uri = uri.replace("{u}", self.world.user_ids[target])
            uri = uri.replace("{g}", self._objects[near % 4_096]).replace("{h}", self._objects[(near * 7 + 11) % 4_096])
        if delegated:
            known = self._users.get(user) or self._user(user)
            account, address, country = f'"{known[0]}"', known[3], known[4].country
        else:
            account = '""'
        if behind:
            address, country = behind[other % 2], behind[2]
        chance = other % 1_000
        if chance < 22:
            status, size = _FAILED[chance % 4], 350
        return (
            f'"{DATES[day]}T{SECOND_OF_DAY[second]}.{word % 10_000_000:07d}Z"',
            f'"{request}"',
            f'"{operation}"',
            f'"{client}"',
            app_id,
            sp_id,
            account,
            '"user"' if delegated else '"app"',
            method,
            uri,
            '"v1.0"',
            status,
            f'"{20 + other % 900}"',
            "null" if chance > 996 else str(size),
            workload,
            scopes,
            f'"{operation[:8]}{operation[-12:]}"',
            f'"{address}"',
            f'"{country}"',
            identity,
            f'"{client[:18]}"',
        )

    def _make_call(self, app: int, call: int) -> _Made:
        """What is the same for every request of one kind by one app."""
        what, world = CALLS[CALL_NAMES[call]], self.world
        profile = PROFILES[PROFILE_NAMES[world.profile[app]]]
        delegated = not profile.roles or what.path.startswith("/me")
        # An app with a refresh token calls from its own servers, not from the user's desk.
        behind = None
        if not delegated or "offline_access" in profile.scopes:
            people = self.people
            behind = (people.app_address(app, 0), people.app_address(app, 1), people.app_place(app).country)
        member = world.member(app)
        if member and member.intruder and CALL_NAMES[call] in member.intruder.calls:
            first = self.people.intruder_address(app, 0)
            behind = (first, self.people.intruder_address(app, 1), self.people.app_place(app, first).country)
        app_id, sp_id, _, _ = self._app(app)
        return (
            f'"https://graph.microsoft.com/v1.0{what.path}"',
            delegated,
            behind,
            f'"{what.status}"',
            f'"{what.method}"',
            f'"{what.workload}"',
            f'"{" ".join(profile.scopes if delegated else profile.roles)}"',
            f'"{app_id}"',
            f'"{sp_id}"',
            f'"https://sts.windows.net/{world.tenant_id}/"',
        )


def failed_sign_ins(stream: int, word: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Which sign-ins of a stream failed, by their random words."""
    failed: NDArray[np.bool_] = ids.mix(word ^ _SIGN_IN_SALT) % np.uint64(100) < np.uint64(_FAILING[stream])
    return failed
