"""Who is in the tenant: service principals, registrations, users, and the rates at which each app works.

Only small arrays are held (a few hundred bytes an app); names, ids and records are spelled out when asked for.
Service principals are ordered: Microsoft's own, the cast, then ordinary apps.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from appgov_lib.errors import ConfigError
from appgov_lib.sample import ids
from appgov_lib.sample.calendar import DAYS
from appgov_lib.sample.cast import BUSY_MICROSOFT, CAST
from appgov_lib.sample.member import KINDS, Credential, Member
from appgov_lib.sample.profiles import PROFILE_NAMES, PROFILES, microsoft_apps

DOMAIN = "northwind-sample.example"
ONMICROSOFT = "northwindsample.onmicrosoft.com"
ORGANIZATION = "Northwind Sample"
MICROSOFT_TENANT = "f8cdef31-a31e-4b4a-93e4-5f571e91255a"
INTERNAL, MANAGED, VERIFIED, UNVERIFIED, MICROSOFT, ODD = range(6)
STREAMS = ("interactive", "non_interactive", "service_principal", "managed_identity", "calls")
PATTERNS = ("office", "everyday", "weekend")

_ORDINARY_KINDS = (INTERNAL,) * 11 + (MANAGED,) * 4 + (VERIFIED,) * 8 + (UNVERIFIED,) * 2
_ORDINARY_PROFILES: dict[int, tuple[str, ...]] = {
    INTERNAL: (
        "people-sync", "portal", "user-lookup", "mailer", "room-calendar", "site-reader", "document-sync", "portal",
        "nothing", "group-writer", "planner", "team-reader", "usage-reports", "portal", "list-writer", "provisioning",
        "batcher", "portal",
    ),
    MANAGED: ("azure", "azure", "user-lookup", "azure"),
    VERIFIED: (
        "portal", "crm", "planner", "saml", "portal", "file-picker", "mail-reader", "user-calendar", "directory-reader",
        "saml", "chat-helper", "portal",
    ),
    UNVERIFIED: ("user-login", "user-calendar", "portal"),
}  # fmt: skip
_ORDINARY_TOTAL = 25
_STALE_EVERY = 3


@dataclass(frozen=True)
class Size:
    """How big the tenant is."""

    service_principals: int = 400
    users: int = 1_200
    activity: float = 1.0
    """Factor on the activity of ordinary apps; 1 gives about 43,000 sign-ins and 120,000 calls at 400 apps."""


def default_users(service_principals: int) -> int:
    """Three people an app, at least 200 and at most 20,000."""
    return min(20_000, max(200, 3 * service_principals))


class World:
    """The tenant for one seed and size. All arrays have one entry per service principal unless said otherwise."""

    def __init__(self, seed: int = 7, size: Size | None = None) -> None:
        """Lay out the tenant. Raises ConfigError when it would be too small for its cast."""
        self.seed = seed
        self.size = size or Size()
        self.count = n = self.size.service_principals
        self.microsoft = microsoft_apps()
        self.cast_start = len(self.microsoft)
        self.ordinary_start = self.cast_start + len(CAST)
        if n < self.ordinary_start + _ORDINARY_TOTAL or self.size.users < 200:
            least = self.ordinary_start + _ORDINARY_TOTAL
            raise ConfigError(f"The sample tenant needs at least {least} service principals and 200 users.")
        self.tenant_id = ids.guid(seed, "tenant")
        self.sp_ids = ids.GuidColumn(seed, "servicePrincipal", n)
        self.app_ids = ids.GuidColumn(seed, "appId", n)
        for number, (app_id, _) in enumerate(self.microsoft):
            self.app_ids.fix(number, app_id)
        self.user_ids = ids.GuidColumn(seed, "user", self.size.users)
        self.object_ids = ids.GuidColumn(seed, "object", 4_096)
        self._lay_out()

    def _lay_out(self) -> None:
        """Fill the arrays: kind, profile, age, rates, active span."""
        n, first = self.count, self.ordinary_start
        rest = np.arange(n - first)
        word = ids.words(self.seed, "ordinary", 0, n)
        chance = ids.uniform(word)
        self.kind: NDArray[np.int8] = np.zeros(n, np.int8)
        self.kind[: self.cast_start] = MICROSOFT
        self.kind[first:] = np.array(_ORDINARY_KINDS, np.int8)[rest % _ORDINARY_TOTAL]
        self.profile: NDArray[np.int16] = np.zeros(n, np.int16)
        for kind, names in _ORDINARY_PROFILES.items():
            places = np.flatnonzero(self.kind[first:] == kind) + first
            numbers = np.array([PROFILE_NAMES.index(name) for name in names], np.int16)
            self.profile[places] = numbers[np.arange(len(places)) % len(names)]
        self.created: NDArray[np.int32] = (120 + chance * 1_500).astype(np.int32)
        self.first_day = np.zeros(n, np.int16)
        self.last_day = np.full(n, DAYS - 1, np.int16)
        self.pattern = np.where(self.kind == MANAGED, 1, 0).astype(np.int8)
        self.shape = np.full(n, 18.0)
        self.growth = np.zeros(n)
        self.byte_spread = np.full(n, 0.45)
        self.calls_rate = np.clip(np.exp(1.5 + 0.45 * _normal(word)), 3.0, 20.0) * self.size.activity
        self.byte_scale = np.clip(np.exp(0.5 * _normal(ids.mix(word))), 0.3, 3.0)
        self._set_microsoft()
        self._set_cast()
        self.stale = self._stale()
        self.first_day[self.stale] = DAYS
        self._set_rates()

    def _set_microsoft(self) -> None:
        """Sixteen Microsoft apps are busy, the others are there and quiet."""
        quiet, busy = PROFILE_NAMES.index("microsoft-quiet"), PROFILE_NAMES.index("microsoft")
        for number, (_, name) in enumerate(self.microsoft):
            active = 5 <= number < 21
            self.profile[number] = busy if active else quiet
            self.calls_rate[number] = BUSY_MICROSOFT[1] if name == BUSY_MICROSOFT[0] else 12.0
            self.created[number] = 2_400

    def _set_cast(self) -> None:
        """The cast's own numbers."""
        for number, member in enumerate(CAST, start=self.cast_start):
            self.kind[number] = KINDS.index(member.kind)
            self.profile[number] = PROFILE_NAMES.index(member.profile)
            self.created[number] = member.created
            self.first_day[number], self.last_day[number] = member.first_day, member.last_day
            self.pattern[number] = PATTERNS.index(member.pattern)
            self.shape[number] = 400.0 if member.steady else 40.0
            self.growth[number] = member.growth
            self.byte_spread[number] = 0.15 if member.steady else 0.35
            self.calls_rate[number] = member.calls
            self.byte_scale[number] = 1.0

    def _stale(self) -> NDArray[np.bool_]:
        """Ordinary apps that nobody has used for months: every third of those that may send mail."""
        crm = np.flatnonzero(self.profile == PROFILE_NAMES.index("crm"))
        crm = crm[crm >= self.ordinary_start]
        stale = np.zeros(self.count, np.bool_)
        stale[crm[::_STALE_EVERY]] = True
        return stale

    def _set_rates(self) -> None:
        """Sign-ins per weekday for the four streams, and calls; `floor` is the least on a working day."""
        has_roles = np.array([bool(p.roles) for p in PROFILES.values()])[self.profile]
        has_scopes = np.array([bool(p.scopes) for p in PROFILES.values()])[self.profile]
        has_calls = np.array([bool(p.calls) for p in PROFILES.values()])[self.profile]
        quiet = self.profile == PROFILE_NAMES.index("microsoft-quiet")
        cast = np.zeros(self.count, np.bool_)
        cast[self.cast_start : self.ordinary_start] = True
        managed, microsoft = self.kind == MANAGED, self.kind == MICROSOFT
        scale = np.where(cast | microsoft, 1.0, self.size.activity)
        people = ~managed & ~microsoft & (has_scopes | ~has_roles)
        rates = np.zeros((len(STREAMS), self.count))
        rates[0] = np.where(people, 0.5 * scale, 0.0)
        rates[1] = np.where(people, 0.6 * scale, 0.0)
        rates[2] = np.where(
            has_roles & ~managed, np.maximum(1.0, np.where(cast, self.calls_rate / 5, 0.0)) * scale, 0.0
        )
        rates[3] = np.where(managed, 0.5 * scale, 0.0)
        rates[0] += np.where(microsoft & ~quiet, 3.0, 0.0)
        rates[1] += np.where(microsoft & ~quiet, 4.0, 0.0)
        rates[4] = np.where(has_calls, self.calls_rate, 0.0)
        self.rates = rates
        self.floor = (rates > 0).astype(np.int64) * (scale >= 1.0)
        self.floor[0] = 0

    # ---- relations -------------------------------------------------------------------------------------------------

    @cached_property
    def registered(self) -> NDArray[np.int64]:
        """Indexes of the service principals whose registration is in this tenant."""
        return np.flatnonzero(self.kind == INTERNAL)

    @cached_property
    def orphans(self) -> int:
        """Registrations without a service principal."""
        return max(1, self.count // 100)

    @cached_property
    def active_users(self) -> NDArray[np.int64]:
        """Indexes of enabled members, the people who sign in."""
        number = np.arange(self.size.users)
        return np.flatnonzero((number % 20 != 19) & (number % 25 != 24))

    @cached_property
    def index_of_app(self) -> dict[str, int]:
        """Service principal index by app id."""
        return {self.app_ids[i]: i for i in range(self.count)}

    @cached_property
    def index_of_sp(self) -> dict[str, int]:
        """Service principal index by object id."""
        return {self.sp_ids[i]: i for i in range(self.count)}

    def member(self, index: int) -> Member | None:
        """The cast member at `index`, if it is one."""
        place = index - self.cast_start
        return CAST[place] if 0 <= place < len(CAST) else None

    def cast_index(self, name: str) -> int:
        """Index of the cast member called `name`."""
        return self.cast_start + next(place for place, member in enumerate(CAST) if member.name == name)

    def user_span(self, index: int) -> tuple[int, int]:
        """(first, how many) places in `active_users` of the people who use the app."""
        member = self.member(index)
        people = len(self.active_users)
        first = ids.pick(self.seed, "users of", index, people)
        if PROFILES[PROFILE_NAMES[self.profile[index]]].consent == "user":
            return first, (member.consents if member and member.consents else 2 + index % 7)
        return first, min(people, 25 + index % 90 if self.kind[index] != MICROSOFT else people)

    def owner(self, index: int) -> list[int]:
        """User indexes of the owners of a registration: enabled members, one or two."""
        member = self.member(index)
        if member and member.owners == 0:
            return []
        if member and member.owner_disabled:
            return [24]
        places = len(self.active_users)
        first = ids.pick(self.seed, "owner", index, places)
        more = [(first + 17) % places] if index % 3 == 0 else []
        return [int(self.active_users[place]) for place in [first, *more]]

    def credentials(self, index: int) -> tuple[Credential, ...]:
        """The app's credentials: managed identities and internal apps that sign in as themselves have some."""
        member = self.member(index)
        if member and member.credentials is not None:
            return member.credentials
        kind, profile = self.kind[index], PROFILES[PROFILE_NAMES[self.profile[index]]]
        if kind == MANAGED:
            age = 3 + ids.pick(self.seed, "rotation", index, 43)
            return (Credential("certificate", age, age - 90, name=f"CN={self.app_ids[index]}"),)
        if kind != INTERNAL or not profile.roles:
            return ()
        age = 40 + ids.pick(self.seed, "credential", index, 250)
        if index % 7 == 3:
            return (Credential("federated", age, 0, name="github-main"),)
        end = -(75 + ids.pick(self.seed, "credential end", index, 500))
        first = Credential("certificate" if index % 4 == 1 else "secret", age, end)
        if index % 5 == 2:
            return (first, Credential(first.kind, 33, end - 200, 2.0, "second"))
        return (first,)

    def key_id(self, index: int, place: int) -> str:
        """Key id of the app's credential number `place`."""
        return ids.guid(self.seed, "key", f"{index}/{place}")


def _normal(word: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Standard normal numbers from 64-bit words (Box and Muller 1958)."""
    radius = np.sqrt(-2.0 * np.log(1.0 - ids.uniform(word)))
    angle: NDArray[np.float64] = 2.0 * np.pi * ids.uniform(ids.mix(word ^ np.uint64(0x5DEECE66D)))
    normal: NDArray[np.float64] = radius * np.cos(angle)
    return normal
