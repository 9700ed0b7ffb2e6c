"""How an app of the cast is described: its part, its credentials, and what sets it apart from ordinary apps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["internal", "managed", "verified", "unverified", "microsoft", "odd"]
KINDS: tuple[Kind, ...] = ("internal", "managed", "verified", "unverified", "microsoft", "odd")
Pattern = Literal["office", "everyday", "weekend"]


@dataclass(frozen=True)
class Credential:
    """A secret or certificate: times in days before NOW, so a negative `ends` lies in the future."""

    kind: Literal["secret", "certificate", "federated"]
    starts: float
    ends: float
    last_used: float | None = None
    """Days before NOW; None: as late as the app last signed in."""
    name: str = "client credential"


@dataclass(frozen=True)
class Intruder:
    """Somebody who uses the app beside its owner, with a credential of their own."""

    credential: int
    """Which of the app's credentials is theirs."""
    day: int
    """The day on which they begin."""
    country: str
    calls: tuple[str, ...]
    """The calls of the profile that only they make."""


@dataclass(frozen=True)
class Member:
    """One app of the cast."""

    story: str
    name: str | None
    kind: Kind
    profile: str
    expect: tuple[str, ...] = ()
    tolerate: tuple[str, ...] = ()
    quiet: bool = False
    """A look-alike: no policy may report it."""
    why: str = ""
    calls: float = 6.0
    """Graph calls on a weekday."""
    pattern: Pattern = "office"
    steady: bool = False
    first_day: int = 0
    last_day: int = 90
    created: int = 700
    """Days before NOW."""
    growth: float = 0.0
    """Relative growth per week."""
    boosts: tuple[tuple[int, float, float], ...] = ()
    """(day, factor on calls, factor on bytes of each call)."""
    credentials: tuple[Credential, ...] | None = None
    """None: one ordinary credential if the app signs in as itself."""
    owners: int = 1
    owner_disabled: bool = False
    manifest_omits: tuple[str, ...] = ()
    consents: int = 0
    last_sign_in: float | None = None
    """Days before NOW, for apps without any sign-in in the thirteen weeks; None there: never signed in."""
    country: str = "IE"
    extra_roles: tuple[tuple[str, str], ...] = ()
    """(resource app id, role) besides those of the profile."""
    intruder: Intruder | None = None
    enabled: bool = True
    disabled_by_microsoft: str | None = None
