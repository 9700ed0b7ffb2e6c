"""Where things are and whose tenant it is: one frozen value, read once from the environment and the options.

Secrets are not settings: azure-identity reads its own variables, and the token of a loopback server is read by
`extract.graph` at the moment of use.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit

from appgov_lib.errors import ConfigError
from appgov_lib.profiles import NAME_RULE, TENANT_NAME, Profile, Profiles, load_profiles

GLOBAL_ENDPOINT = "https://graph.microsoft.com"
ENDPOINTS = {
    "global": GLOBAL_ENDPOINT,
    "usgov-l4": "https://graph.microsoft.us",
    "usgov-l5": "https://dod-graph.microsoft.us",
    "china": "https://microsoftgraph.chinacloudapi.cn",
}
"""Where Graph is in each of Microsoft's clouds; `extract.clouds` says who signs in there."""
SIGN_INS = ("default", "secret", "certificate", "managed-identity", "federation", "device-code")
"""Ways to sign in, as `--sign-in` and APPGOV_SIGN_IN name them; `extract.credentials` says what each needs."""
LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})


def is_loopback(endpoint: str) -> bool:
    """Whether `endpoint` names this machine itself, the only place plain http and a ready token are accepted."""
    return urlsplit(endpoint).hostname in LOOPBACK_HOSTS


def check_endpoint(endpoint: str) -> str:
    """Return `endpoint` without a trailing slash; raise `ConfigError` unless it is https or a loopback address."""
    parts = urlsplit(endpoint.strip())
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ConfigError(
            f"APPGOV_GRAPH_ENDPOINT is {endpoint!r}, which is not a web address; use e.g. {GLOBAL_ENDPOINT}."
        )
    if parts.scheme == "http" and not is_loopback(endpoint):
        raise ConfigError(
            f"APPGOV_GRAPH_ENDPOINT is {endpoint!r}: plain http is allowed only for a loopback address; use https."
        )
    return endpoint.strip().rstrip("/")


@dataclass(frozen=True)
class Settings:
    """Where data and reports live, and which tenant a command works on."""

    home: Path
    """Folder that holds `data/` and `reports/`."""
    tenant: str = "sample"
    """Name of the tenant profile; also the folder name under `data/` and `reports/`."""
    endpoint: str = GLOBAL_ENDPOINT
    """Graph address without a trailing slash and without a version."""
    sign_in: str = "default"
    """One of `SIGN_INS`."""
    profile: Profile = field(default=Profile(), compare=False)
    """What `appgov.toml` says of the tenant."""

    @classmethod
    def load(
        cls,
        tenant: str | None = None,
        home: Path | str | None = None,
        env: Mapping[str, str] | None = None,
        *,
        endpoint: str | None = None,
        sign_in: str | None = None,
    ) -> Settings:
        """Read the environment and `appgov.toml`.

        What is said of one tenant wins over what is said of all: arguments, then the tenant's profile, then
        `APPGOV_GRAPH_ENDPOINT` and `APPGOV_SIGN_IN`, then `[defaults]`. Raises `ConfigError` for a tenant name that
        could leave its folder or that the file does not have, an endpoint that is not safe, or a sign-in there is not.
        """
        env = os.environ if env is None else env
        folder = home_folder(home, env)
        profiles = load_profiles(folder, env)
        only = next(iter(profiles.tenants)) if len(profiles.tenants) == 1 else "sample"
        name = tenant or env.get("APPGOV_TENANT") or only
        if not TENANT_NAME.fullmatch(name):
            raise ConfigError(f"The tenant name {name!r} cannot be used as a folder name; {NAME_RULE}.")
        _listed(name, profiles, folder)
        profile = profiles.of(name)
        own = profile if {"cloud", "endpoint"} & profile.said else Profile()
        graph = check_endpoint(
            endpoint or _address(own) or env.get("APPGOV_GRAPH_ENDPOINT") or _address(profile) or GLOBAL_ENDPOINT
        )
        theirs = profile.sign_in if "sign_in" in profile.said or profile.credential.way else ""
        way = sign_in or theirs or env.get("APPGOV_SIGN_IN") or profile.sign_in or "default"
        if way not in SIGN_INS:
            raise ConfigError(f"The sign-in {way!r} is not known; --sign-in and APPGOV_SIGN_IN take {_or(SIGN_INS)}.")
        return cls(home=folder, tenant=name, endpoint=graph, sign_in=way, profile=profile)

    def showing_tokens(self) -> Settings:
        """The same settings, with tokens in place of people in whatever is written."""
        return replace(self, profile=replace(self.profile, pseudonymise=True))

    @property
    def data_dir(self) -> Path:
        """Everything read from this tenant."""
        return self.home / "data" / self.tenant

    @property
    def raw_dir(self) -> Path:
        """Immutable snapshots, one folder each."""
        return self.data_dir / "raw"

    @property
    def warehouse_dir(self) -> Path:
        """Versioned DuckDB files and the pointer to the current one."""
        return self.data_dir / "warehouse"

    @property
    def reference_dir(self) -> Path:
        """Reference tables of the user's own, which a build takes before the shipped ones."""
        return self.home / "reference"

    @property
    def policies_dir(self) -> Path:
        """Policies, exceptions and approvals of the user's own."""
        return self.profile.policies or self.home / "policies"

    @property
    def exceptions_file(self) -> Path:
        """The exceptions of the tenant."""
        return self.profile.exceptions or self.policies_dir / "exceptions.toml"

    @property
    def reports_dir(self) -> Path:
        """One folder per as-of date, and `latest`."""
        return self.home / "reports" / self.tenant


def home_folder(home: Path | str | None = None, env: Mapping[str, str] | None = None) -> Path:
    """The folder that holds `data/` and `reports/`: the one given, else `APPGOV_HOME`, else the working directory."""
    env = os.environ if env is None else env
    return Path(home or env.get("APPGOV_HOME") or Path.cwd()).expanduser().resolve()


def _listed(name: str, profiles: Profiles, home: Path) -> None:
    """Stop at a name that a file of profiles does not have: a slip would read into a folder of its own."""
    known = name in profiles.tenants or name == "sample" or (home / "data" / name).is_dir()
    if profiles.tenants and not known:
        raise ConfigError(f"There is no tenant {name!r} in {profiles.path}; it has {', '.join(profiles.tenants)}.")


def _address(profile: Profile) -> str:
    """The Graph address a profile names, itself or by its cloud."""
    return profile.endpoint or (ENDPOINTS[profile.cloud] if profile.cloud else "")


def _or(words: tuple[str, ...]) -> str:
    """`a, b or c`."""
    return f"{', '.join(words[:-1])} or {words[-1]}"


def private_dir(path: Path) -> Path:
    """Create `path` and its missing parents, readable by this user alone (0700); return it."""
    missing = [p for p in (path, *path.parents) if not p.exists()]
    for folder in reversed(missing):
        folder.mkdir(mode=0o700, exist_ok=True)
    return path


def private_write(path: Path, content: bytes, durable: bool = True) -> None:
    """Write `content` to `path` in one step (temporary file, then rename), mode 0600.

    With `durable` it is on the disk before anything else happens; thousands of small files that can be made anew need
    not wait for that.
    """
    private_dir(path.parent)
    temporary = path.with_name(f".{path.name}.part")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as handle:
        handle.write(content)
        if durable:
            handle.flush()
            os.fsync(handle.fileno())
    temporary.replace(path)
