"""What goes wrong on request: throttling, broken answers, expired tokens. The n-th request always has the same fate."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

from appgov_lib.errors import ConfigError
from appgov_lib.sample import ids


@dataclass(frozen=True)
class Faults:
    """Shares are between 0 and 1 of the requests that a fault can hit; paths are separated by `|`."""

    throttle: float = 0.0
    """429; Retry-After is 1, an HTTP date, 0 or absent, by turns."""
    error: float = 0.0
    """503, 502 and 500 by turns."""
    cut: float = 0.0
    """The body ends early."""
    reset: float = 0.0
    """The connection is closed without an answer."""
    empty_pages: float = 0.0
    """A page without rows but with a nextLink to the same place."""
    duplicate: float = 0.0
    """The first row of a page comes twice."""
    html: float = 0.0
    """403 with an HTML page, as a gateway sends it."""
    claims: float = 0.0
    """401 with a claims challenge."""
    page_expired: float = 0.0
    """400 Directory_ExpiredPageToken on a next page of a directory list."""
    batch_throttle: float = 0.0
    """429 inside a batch."""
    delta_reset: float = 0.0
    """410 on a delta link, with the Location to start over at."""
    delta_expired: float = 0.0
    """400 syncStateNotFound on a delta link, as after seven days."""
    forbid: str = ""
    """Paths that answer 403 Authorization_RequestDenied."""
    unlicensed: str = ""
    """Paths that answer 403 because the tenant lacks a licence."""
    expire_token_after: int = 0
    """After so many requests the token is refused with 401; 0 is never."""
    ignored: float = 0.0
    """A change is answered as done and is not."""
    lost_answer: float = 0.0
    """A change is done, and the connection closed without an answer."""
    date: str = ""
    """What the Date header of every answer says; there is none without, as the tenant lives in a week of its own."""
    delay: float = 0.0
    """Seconds to wait before every answer."""


def parse(text: str) -> Faults:
    """Faults from `name=value,name=value`. Raises ConfigError."""
    pairs = {}
    for part in text.split(","):
        if part.strip():
            name, _, value = part.partition("=")
            pairs[name.strip()] = value.strip()
    return from_values(pairs)


def from_values(values: dict[str, Any], start: Faults | None = None) -> Faults:
    """Faults from names and values, text or numbers. Raises ConfigError for an unknown name or a value out of range."""
    known = {item.name: type(getattr(Faults(), item.name)) for item in fields(Faults)}
    changed: dict[str, Any] = {}
    for name, value in values.items():
        if name not in known:
            raise ConfigError(f"Unknown fault '{name}'. Known: {', '.join(known)}.")
        try:
            changed[name] = known[name](value)
        except (TypeError, ValueError):
            raise ConfigError(f"Fault '{name}' needs a {known[name].__name__}, not '{value}'.") from None
        if known[name] is float and name != "delay" and not 0 <= changed[name] <= 1:
            raise ConfigError(f"Fault '{name}' is a share between 0 and 1, not {value}.")
    return replace(start or Faults(), **changed)


class Fate:
    """Decides for the n-th request which faults hit it."""

    def __init__(self, seed: int) -> None:
        """Start before the first request."""
        self.seed, self.number = seed, 0
        self._turns: dict[str, int] = {}

    def next(self) -> int:
        """Number the next request, from 1."""
        self.number += 1
        return self.number

    def hits(self, name: str, share: float, number: int | str) -> bool:
        """Whether fault `name` hits request `number`."""
        return share > 0 and ids.pick(self.seed, f"fault {name}", number, 1_000_000) < share * 1_000_000

    def turn(self, name: str, choices: int) -> int:
        """0, 1, ... choices-1, 0, ... at each use of `name`."""
        self._turns[name] = turn = self._turns.get(name, -1) + 1
        return turn % choices


def forbidden(path: str, listed: str) -> bool:
    """Whether a path starts with one of those listed."""
    return any(path.startswith(item) for item in listed.split("|") if item)
