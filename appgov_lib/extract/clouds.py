"""Microsoft's clouds: where Graph is in each, and which authority signs in there.

The two belong together: a token of one cloud's authority is refused by another cloud's Graph, so naming the cloud, or
only its Graph endpoint, is enough. Source: Microsoft Graph, "National cloud deployments" (2026).
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from appgov_lib.errors import ConfigError
from appgov_lib.settings import ENDPOINTS


@dataclass(frozen=True)
class Cloud:
    """One isolated deployment of Microsoft Graph."""

    name: str
    endpoint: str
    """Graph address without a trailing slash and without a version."""
    authority: str
    """Host of the Entra ID endpoint that signs in."""
    azure_cli: str
    """What `az cloud show` calls it."""
    graph_powershell: str
    """What `Connect-MgGraph -Environment` calls it."""


CLOUDS: dict[str, Cloud] = {
    cloud.name: cloud
    for cloud in (
        Cloud("global", ENDPOINTS["global"], "login.microsoftonline.com", "AzureCloud", "Global"),
        Cloud("usgov-l4", ENDPOINTS["usgov-l4"], "login.microsoftonline.us", "AzureUSGovernment", "USGov"),
        Cloud("usgov-l5", ENDPOINTS["usgov-l5"], "login.microsoftonline.us", "AzureUSGovernment", "USGovDoD"),
        Cloud(
            "china",
            ENDPOINTS["china"],
            "login.chinacloudapi.cn",
            "AzureChinaCloud",
            "China",
        ),
    )
}
GLOBAL = CLOUDS["global"]


def cloud_named(name: str) -> Cloud:
    """The cloud called `name`; raises `ConfigError` when there is none."""
    if name not in CLOUDS:
        raise ConfigError(f"There is no cloud called {name!r}; --cloud takes one of: {', '.join(CLOUDS)}.")
    return CLOUDS[name]


def cloud_of(endpoint: str) -> Cloud | None:
    """The cloud whose Graph is at `endpoint`, by host name; None for any other address (a loopback server, a proxy)."""
    host = urlsplit(endpoint).hostname
    return next((cloud for cloud in CLOUDS.values() if urlsplit(cloud.endpoint).hostname == host), None)


def authority_for(endpoint: str, named: str = "") -> str:
    """Host that signs in for `endpoint`.

    `named` is AZURE_AUTHORITY_HOST: used for an address of no known cloud and for other names of the right authority
    (a regional one). Raises `ConfigError` when it is the authority of another cloud.
    """
    host = (urlsplit(named if "://" in named else f"https://{named}").hostname or "") if named.strip() else ""
    cloud = cloud_of(endpoint)
    if cloud is None:
        return host or GLOBAL.authority
    if host and host != cloud.authority and any(host == other.authority for other in CLOUDS.values()):
        raise ConfigError(
            f"AZURE_AUTHORITY_HOST is {host}, but {cloud.endpoint} (cloud {cloud.name}) signs in at "
            f"{cloud.authority}; unset it, or name the other cloud with --cloud."
        )
    return host or cloud.authority
