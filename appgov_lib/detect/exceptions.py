"""Findings somebody decided to live with: who, why, and until when.

They stand in `policies/exceptions.toml` in the home folder, one `[[exception]]` each. An exception hides nothing: its
findings stay in the table as `excepted`, with the words of the exception, and come back as `returned` on the day after
it ends.
"""

from __future__ import annotations

import datetime as dt
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from appgov_lib.errors import ConfigError

FILE = "exceptions.toml"
_NEEDED = ("policy", "app", "reason", "approver", "expires")
_KNOWN = (*_NEEDED, "subject")


@dataclass(frozen=True)
class RiskAcceptance:
    """One exception of the file."""

    policy: str
    """Id of the policy; "*" for every policy."""
    app: str
    """Application id or service principal id, lower case."""
    subject: str | None
    """Only findings about this subject, e.g. one key id; None for all of the app."""
    reason: str
    approver: str
    expires: dt.date
    """Last day it holds."""

    def covers(self, policy_id: str, ids: Iterable[str], subject: str, as_of: dt.date) -> bool:
        """Whether a finding of this policy about the app with these `ids` is excepted on `as_of`."""
        return as_of <= self.expires and self.matches(policy_id, ids, subject)

    def matches(self, policy_id: str, ids: Iterable[str], subject: str) -> bool:
        """Whether it is about such a finding, on whatever day."""
        return (
            self.policy in ("*", policy_id)
            and self.app in {text.lower() for text in ids}
            and self.subject in (None, subject)
        )

    @property
    def words(self) -> str:
        """One sentence for the reader."""
        return f"Accepted until {self.expires} by {self.approver}: {self.reason}"


def load_exceptions(place: Path) -> tuple[RiskAcceptance, ...]:
    """The exceptions in the policy folder of the user, or in a file, in file order; none where there is no file.

    Raises `ConfigError` naming the entry when the file cannot be used: an exception without reason, approver or end
    would be a hole nobody remembers.
    """
    path = place if place.suffix == ".toml" else place / FILE
    try:
        entries = tomllib.loads(path.read_text(encoding="utf-8")).get("exception", [])
    except FileNotFoundError:
        return ()
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read as TOML: {error}.") from error
    if not isinstance(entries, list):
        raise ConfigError(f"{path}: write each exception under a heading [[exception]] of its own.")
    return tuple(_exception(entry, f"{path}, exception {number}") for number, entry in enumerate(entries, 1))


def _exception(entry: Any, place: str) -> RiskAcceptance:
    """One entry; raises `ConfigError` saying what is wrong with it."""
    if not isinstance(entry, dict):
        raise ConfigError(f"{place}: write it under a heading [[exception]].")
    for key in _NEEDED:
        if not entry.get(key):
            raise ConfigError(f"{place} has no {key}; every exception needs {', '.join(_NEEDED)}.")
    unknown = sorted(entry.keys() - set(_KNOWN))
    if unknown:
        raise ConfigError(f"{place} has the unknown key {unknown[0]!r}; known are {', '.join(_KNOWN)}.")
    expires = entry["expires"]
    if not isinstance(expires, dt.date) or isinstance(expires, dt.datetime):
        raise ConfigError(f"{place}: expires is {expires!r}; write a date without quotes, e.g. 2027-03-31.")
    for key in ("policy", "app", "reason", "approver", "subject"):
        if key in entry and not isinstance(entry[key], str):
            raise ConfigError(f"{place}: {key} is {entry[key]!r}; write a text in quotes.")
    return RiskAcceptance(
        policy=entry["policy"],
        app=entry["app"].strip().lower(),
        subject=entry.get("subject"),
        reason=entry["reason"],
        approver=entry["approver"],
        expires=expires,
    )
