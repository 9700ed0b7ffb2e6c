"""Tenant profiles: what `appgov.toml` says of each tenant, checked before anything is read from one.

A mistake is told with file and line. Secrets do not stand in the file: it names the environment variables that hold
them.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from appgov_lib.errors import ConfigError
from appgov_lib.profiles.places import line_of, lines_of
from appgov_lib.profiles.schema import CHANNEL, NEEDED, OF_ALL, STAGES, TAKES, TENANT, Key

__all__ = ["FILE", "Channel", "Credential", "Profile", "Profiles", "load_profiles", "secret_names"]

FILE = "appgov.toml"
TENANT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
NAME_RULE = "use letters, digits, '.', '_' and '-'"
BUDGET_MINUTES: Mapping[str, int] = MappingProxyType({"extract": 360, "build": 120, "report": 120})
_PROOFS = (
    "AZURE_CLIENT_SECRET",
    "AZURE_CLIENT_CERTIFICATE_PATH",
    "AZURE_CLIENT_CERTIFICATE_PASSWORD",
    "AZURE_FEDERATED_TOKEN_FILE",
    "APPGOV_ACCESS_TOKEN",
)
_DEFAULTS_TAKE = tuple(key for key in TENANT if key.name not in ("tenant_id", "endpoint"))
_NO_THRESHOLDS: Mapping[str, Mapping[str, float]] = MappingProxyType({})


@dataclass(frozen=True)
class Credential:
    """Where the parts of a credential are; names and paths, never a secret."""

    tenant_id: str = ""
    client_id: str = ""
    client_secret_env: str = ""
    certificate_path: str = ""
    certificate_password_env: str = ""
    federated_token_file: str = ""
    access_token_env: str = ""

    @property
    def given(self) -> bool:
        """Whether anything is said."""
        return any(vars(self).values())

    @property
    def way(self) -> str:
        """The way to sign in that follows from what is named; empty where nothing does."""
        if self.client_secret_env:
            return "secret"
        if self.certificate_path:
            return "certificate"
        return "federation" if self.federated_token_file else ""

    @property
    def names(self) -> dict[str, str]:
        """By azure-identity's variables: what the profile names in their place, for messages."""
        own = {
            "AZURE_TENANT_ID": f"tenant_id of {FILE}" if self.tenant_id else "",
            "AZURE_CLIENT_ID": f"client_id of {FILE}" if self.client_id else "",
            "AZURE_CLIENT_SECRET": self.client_secret_env,
            "AZURE_CLIENT_CERTIFICATE_PATH": self.certificate_path,
            "AZURE_FEDERATED_TOKEN_FILE": self.federated_token_file,
        }
        return {name: value for name, value in own.items() if value}

    def environment(self, base: Mapping[str, str] | None = None) -> dict[str, str]:
        """The environment with this credential in azure-identity's own variables.

        A proof that is named here (secret, certificate, token) takes the place of all in the environment; ids alone go
        with the proof that the environment holds, as for one app in several tenants. Raises `ConfigError` for a
        variable that is named and not set.
        """
        base = os.environ if base is None else base
        if not self.given:
            return dict(base)
        own = {
            "AZURE_TENANT_ID": self.tenant_id,
            "AZURE_CLIENT_ID": self.client_id,
            "AZURE_CLIENT_SECRET": secret(self.client_secret_env, base),
            "AZURE_CLIENT_CERTIFICATE_PATH": self.certificate_path,
            "AZURE_CLIENT_CERTIFICATE_PASSWORD": secret(self.certificate_password_env, base),
            "AZURE_FEDERATED_TOKEN_FILE": self.federated_token_file,
            "APPGOV_ACCESS_TOKEN": secret(self.access_token_env, base),
        }
        proven = self.way or self.access_token_env
        kept = {name: value for name, value in base.items() if not (proven and name in _PROOFS)}
        return kept | {name: value for name, value in own.items() if value}


@dataclass(frozen=True)
class Channel:
    """One way in which results are delivered."""

    kind: str
    name: str
    when: str = "always"
    on_failure: bool = True
    attach: bool = False
    link: str = ""
    to: tuple[str, ...] = ()
    sender: str = ""
    host: str = ""
    port: int = 0
    security: str = "starttls"
    user: str = ""
    password_env: str = ""
    url_env: str = ""
    path: Path = Path()
    credential: Credential = Credential()


@dataclass(frozen=True)
class Profile:
    """What the file says of one tenant; empty or None where it says nothing."""

    endpoint: str = ""
    cloud: str = ""
    sign_in: str = ""
    credential: Credential = Credential()
    retention_days: int | None = None
    report_retention_days: int | None = None
    policies: Path | None = None
    exceptions: Path | None = None
    notebooks: Path | None = None
    thresholds: Mapping[str, Mapping[str, float]] = field(default_factory=lambda: _NO_THRESHOLDS)
    pseudonymise: bool = False
    min_users_shown: int = 0
    fail_on: str = ""
    min_free_mb: int = 500
    late_after_days: int = 2
    budget_minutes: Mapping[str, int] = field(default_factory=lambda: BUDGET_MINUTES)
    channels: tuple[Channel, ...] = ()
    said: frozenset[str] = frozenset()
    """Keys that stand under the tenant itself and not only under `[defaults]`."""
    origin: str = ""
    """File and line of the tenant, for messages."""


@dataclass(frozen=True)
class Profiles:
    """All of one file; without a file there are none."""

    path: Path
    tenants: Mapping[str, Profile]
    defaults: Profile

    def of(self, tenant: str) -> Profile:
        """The profile of a tenant: its own, else what holds for all."""
        return self.tenants.get(tenant, self.defaults)

    @property
    def secret_names(self) -> frozenset[str]:
        """Variables that any profile names as holding a secret."""
        return frozenset().union(*(secret_names(one) for one in (*self.tenants.values(), self.defaults)))


def secret_names(profile: Profile) -> frozenset[str]:
    """Variables that a profile names as holding a secret."""
    credentials = [profile.credential, *(channel.credential for channel in profile.channels)]
    found = {name for channel in profile.channels for name in (channel.password_env, channel.url_env)}
    for item in credentials:
        found |= {item.client_secret_env, item.certificate_password_env, item.access_token_env}
    return frozenset(found - {""})


def secret(name: str, env: Mapping[str, str]) -> str:
    """The value of the variable `name`, nothing where no name is given; raises `ConfigError` when it is not set."""
    if name and not env.get(name):
        raise ConfigError(f"The variable {name}, which {FILE} names, is not set.")
    return env[name] if name else ""


def load_profiles(home: Path, env: Mapping[str, str] | None = None) -> Profiles:
    """Read `APPGOV_CONFIG`, else `appgov.toml` in the home folder; raises `ConfigError` with the line of a mistake."""
    env = os.environ if env is None else env
    named = env.get("APPGOV_CONFIG", "")
    path = Path(named).expanduser() if named else home / FILE
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        if named:
            raise ConfigError(f"APPGOV_CONFIG is {named!r}, and there is no such file.") from None
        return Profiles(path, {}, Profile())
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read ({type(error).__name__}).") from None
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} cannot be read as TOML: {error}.") from None
    return _Reader(path, lines_of(text)).profiles(document)


class _Reader:
    """Turns a document into profiles, or says on which line it cannot."""

    def __init__(self, path: Path, lines: dict[tuple[str | int, ...], int]) -> None:
        """Keep where the file is and where its keys stand."""
        self.path, self.lines = path, lines

    def profiles(self, document: dict[str, Any]) -> Profiles:
        """All profiles of the document."""
        self._known(document, ("defaults", "tenant"), ())
        general = self._table(document, "defaults", ())
        tenants = self._table(document, "tenant", ())
        found = {}
        for name in tenants:
            if not TENANT_NAME.fullmatch(name):
                self._stop(("tenant", name), f"the tenant name {name!r} cannot be used as a folder name; {NAME_RULE}")
            own = self._table(tenants, name, ("tenant",))
            found[name] = self._profile({**general, **own}, own, ("tenant", name))
        return Profiles(self.path, found, self._profile(general, {}, ("defaults",)))

    def _profile(self, values: dict[str, Any], own: dict[str, Any], place: tuple[str | int, ...]) -> Profile:
        """The profile of one tenant; `own` are the values that stand under the tenant itself."""
        for part, at, keys in ((own, place, TENANT), (values, ("defaults",), _DEFAULTS_TAKE)):
            if part is own or place == ("defaults",):
                self._check(part, keys, at)
        if "cloud" in own and "endpoint" in own:
            self._stop((*place, "endpoint"), "give cloud or endpoint, not both")
        budget = dict(BUDGET_MINUTES)
        at = place if "budget_minutes" in own else ("defaults",)
        for stage, minutes in values.get("budget_minutes", {}).items():
            if stage not in STAGES or not isinstance(minutes, int) or isinstance(minutes, bool) or minutes < 1:
                self._stop((*at, "budget_minutes", stage), f"write minutes, at least 1, for {', '.join(STAGES)}")
            budget[stage] = minutes
        at = place if "deliver" in own else ("defaults",)
        channels = tuple(
            self._channel(entry, (*at, "deliver", number)) for number, entry in enumerate(values.get("deliver", []))
        )
        names = [channel.name for channel in channels]
        for number, name in enumerate(names):
            if name in names[:number]:
                self._stop((*at, "deliver", number), f"the name {name!r} comes twice; give each delivery its own")
        credential = self._credential(values)
        return Profile(
            endpoint=own.get("endpoint", "").rstrip("/"),
            cloud=values.get("cloud", ""),
            sign_in=own.get("sign_in", "") or credential.way or values.get("sign_in", ""),
            credential=credential,
            retention_days=values.get("retention_days"),
            report_retention_days=values.get("report_retention_days"),
            policies=self._path(values.get("policies")),
            exceptions=self._path(values.get("exceptions")),
            notebooks=self._path(values.get("notebooks")),
            thresholds=self._thresholds(values.get("thresholds", {}), place if "thresholds" in own else ("defaults",)),
            pseudonymise=values.get("pseudonymise", False),
            min_users_shown=values.get("min_users_shown", 0),
            fail_on=values.get("fail_on", ""),
            min_free_mb=values.get("min_free_mb", 500),
            late_after_days=values.get("late_after_days", 2),
            budget_minutes=MappingProxyType(budget),
            channels=channels,
            said=frozenset(own),
            origin=f"{self.path}, line {line_of(self.lines, place)}",
        )

    def _channel(self, entry: dict[str, Any], place: tuple[str | int, ...]) -> Channel:
        """One delivery."""
        self._check(entry, CHANNEL, place)
        kind = entry.get("kind")
        if kind is None:
            self._stop(place, "a delivery needs a kind")
        for name in NEEDED[str(kind)]:
            if name not in entry:
                self._stop(place, f"a delivery of the kind {kind} needs {name}")
        for name in entry:
            if name not in (*OF_ALL, *TAKES[str(kind)]):
                self._stop((*place, name), f"{name} means nothing to a delivery of the kind {kind}")
        security = entry.get("security", "starttls")
        if security == "none" and entry["host"] not in ("127.0.0.1", "localhost", "::1"):
            self._stop((*place, "security"), "an unsecured connection is for this machine alone; use starttls or tls")
        if bool(entry.get("user")) != bool(entry.get("password_env")):
            self._stop(place, "give user and password_env together, or neither")
        return Channel(
            kind=str(kind),
            name=entry.get("name", f"{kind}-{int(place[-1]) + 1}"),
            when=entry.get("when", "always"),
            on_failure=entry.get("on_failure", True),
            attach=entry.get("attach", False),
            link=entry.get("link", ""),
            to=tuple(entry.get("to", ())),
            sender=entry.get("from", ""),
            host=entry.get("host", ""),
            port=entry.get("port", 465 if security == "tls" else 587),
            security=security,
            user=entry.get("user", ""),
            password_env=entry.get("password_env", ""),
            url_env=entry.get("url_env", ""),
            path=self._path(entry.get("path")) or Path(),
            credential=self._credential(entry),
        )

    def _credential(self, values: dict[str, Any]) -> Credential:
        """The credential that is named; its files are seen from the profile file."""
        told = {name: str(values.get(name, "")) for name in Credential.__dataclass_fields__}
        for name in ("certificate_path", "federated_token_file"):
            told[name] = str(self._path(told[name])) if told[name] else ""
        return Credential(**told)

    def _thresholds(self, values: dict[str, Any], place: tuple[str | int, ...]) -> Mapping[str, Mapping[str, float]]:
        """Thresholds by policy."""
        for policy, numbers in values.items():
            if not isinstance(numbers, dict):
                self._stop((*place, "thresholds", policy), f"write a table for the policy {policy!r}")
            for name, value in numbers.items():
                if not isinstance(value, int | float) or isinstance(value, bool):
                    self._stop((*place, "thresholds", policy, name), f"{name} is {value!r}; write a number")
        return MappingProxyType(dict(values))

    def _path(self, text: str | None) -> Path | None:
        """A path seen from the folder of the file."""
        return (self.path.parent / Path(text).expanduser()).resolve() if text else None

    def _table(self, values: dict[str, Any], name: str, place: tuple[str | int, ...]) -> dict[str, Any]:
        """The table `name`, empty where there is none."""
        found = values.get(name, {})
        if not isinstance(found, dict):
            self._stop((*place, name), f"{name} has to be a table, [{'.'.join(map(str, (*place, name)))}]")
        return dict(found)

    def _check(self, values: dict[str, Any], keys: tuple[Key, ...], place: tuple[str | int, ...]) -> None:
        """Stop at the first key that is unknown or has a wrong value."""
        known = {key.name: key for key in keys}
        self._known(values, tuple(known), place)
        for name, value in values.items():
            wrong = known[name].wrong(value)
            if wrong:
                self._stop((*place, name), wrong)

    def _known(self, values: dict[str, Any], names: tuple[str, ...], place: tuple[str | int, ...]) -> None:
        """Stop at a key that is not among `names`."""
        for name in values:
            if name not in names:
                near = difflib.get_close_matches(name, names, n=1)
                hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(names)}."
                if f"{name}_env" in names:
                    hint = f"secrets do not belong into this file; name the variable that holds it as {name}_env."
                raise ConfigError(f"{self._at((*place, name))}: there is no key {name!r} here; {hint}")

    def _stop(self, place: tuple[str | int, ...], what: str) -> None:
        """Raise `ConfigError` with file and line."""
        raise ConfigError(f"{self._at(place)}: {what}.")

    def _at(self, place: tuple[str | int, ...]) -> str:
        """File and line of a place."""
        return f"{self.path}, line {line_of(self.lines, place)}"
