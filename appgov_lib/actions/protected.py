"""What no action may touch: Microsoft's own apps, the extractor itself, and whatever the protected list names.

The list is `actions/protected.toml` in the home folder, one `[[protected]]` with `id` and `reason` each. An id is that
of an app, a service principal, a registration or a person (a break-glass account); a request that names one of them
anywhere is refused.
"""

from __future__ import annotations

import csv
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

from appgov_lib.actions.forms import ids_in
from appgov_lib.errors import ConfigError
from appgov_lib.settings import Settings

FILE = "protected.toml"
_GUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}").fullmatch


@dataclass(frozen=True)
class Protection:
    """Ids with the reason why each is protected, and the tenants whose apps are."""

    ids: Mapping[str, str]
    microsoft: frozenset[str]
    microsoft_apps: frozenset[str] = frozenset()
    """App ids of Microsoft's own apps: an app that is not here yet has no owner to look at."""

    def refusal(self, app: Mapping[str, Any] | None, *named: Any) -> str:
        """Why an action is refused; empty when it is not.

        `app` is the live service principal it is about, where there is one; `named` are its requests and states.
        """
        if app is not None and str(app.get("appOwnerOrganizationId")).lower() in self.microsoft:
            return "protected: Microsoft's own app"
        for found in sorted(ids_in([app, *named]) & self.ids.keys()):
            return f"protected: {found} {self.ids[found]}"
        return ""


def protection(settings: Settings, own: Mapping[str, str]) -> Protection:
    """Everything protected; `own` are app ids of our own with a word on each. Raises `ConfigError` for a bad file."""
    ids = {app_id.lower(): f"is {words}" for app_id, words in own.items() if app_id}
    path = settings.home / "actions" / FILE
    if path.exists():
        for number, entry in enumerate(_entries(path.read_text(encoding="utf-8"), str(path)), start=1):
            key, reason = str(entry.get("id", "")).strip().lower(), str(entry.get("reason", "")).strip()
            if not _GUID(key) or not reason:
                raise ConfigError(f"Entry {number} of {path} needs an `id` (a GUID) and a `reason`.")
            ids[key] = f"is on the protected list: {reason}"
    return Protection(ids, _listed("first_party_tenants.csv"), _listed("first_party_apps.csv"))


def _listed(name: str) -> frozenset[str]:
    """The ids in the first column of a reference table."""
    text = resources.files("appgov_lib").joinpath(f"reference/{name}").read_text(encoding="utf-8")
    return frozenset(row[0].lower() for row in csv.reader(text.splitlines()) if row and _GUID(row[0].lower()))


def protected_ids(settings: Settings, tell: Callable[[str], None]) -> frozenset[str] | None:
    """Ids on the list, for planning; None where it cannot be read, which is told and stops no build."""
    try:
        return frozenset(protection(settings, {}).ids)
    except (ConfigError, OSError, UnicodeDecodeError) as error:
        tell(f"The protected list cannot be read, so nothing is planned about people: {error}")
        return None


def _entries(text: str, name: str) -> list[dict[str, Any]]:
    """The entries of the file; a file that cannot be read protects nothing, so it stops everything."""
    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{name} is not valid TOML ({error}); no action is carried out.") from None
    entries = found.pop("protected", [])
    if found or not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ConfigError(f"{name} may hold [[protected]] entries alone; no action is carried out.")
    return entries
