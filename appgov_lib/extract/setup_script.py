"""A script that makes the app registration appgov signs in as: the catalogue's permissions, and nothing else.

It is only printed. An administrator reads it and runs it with the Azure CLI or with Microsoft Graph PowerShell; every
value in it is quoted for its shell.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from appgov_lib.errors import ConfigError
from appgov_lib.extract.clouds import Cloud
from appgov_lib.extract.permissions import GRAPH_APP_ID, id_of, needed
from appgov_lib.extract.sources import Source
from appgov_lib.terminal import clean

SHELLS = ("bash", "powershell")
_SINGLE_QUOTES = "['\u2018\u2019\u201a\u201b]"
"""Characters PowerShell takes for the single quote."""


@dataclass(frozen=True)
class Permission:
    """One line of the script."""

    name: str
    permission_id: str
    sources: tuple[str, ...]


def permissions_for(sources: tuple[Source, ...] | None = None) -> list[Permission]:
    """The least permissions of `sources` (the whole catalogue by default), in alphabetical order."""
    return [
        Permission(name, id_of(name), tuple(source.name for source in users)) for name, users in needed(sources).items()
    ]


def setup_script(
    shell: str, cloud: Cloud, *, name: str = "appgov", certificate: bool = False, permissions: list[Permission]
) -> str:
    """The text of the script for `shell` (one of `SHELLS`).

    `certificate` adds a self-signed certificate for a year, its key in a private file of the home folder; without it
    no credential is made. Raises `ConfigError` for an app name that cannot be written safely.
    """
    if not 1 <= len(name) <= 120 or name != clean(name).strip() or name[0] in "@-":
        raise ConfigError(f"The app name {name!r} cannot be used: 1 to 120 printable characters, not '@' or '-' first.")
    quote: Callable[[str], str] = {"bash": quote_bash, "powershell": quote_powershell}[shell]
    odata = "displayName eq '{}'".format(name.replace("'", "''"))
    values: Mapping[str, str] = {
        "name": quote(name),
        "same_name": quote(odata),
        "graph_app": quote(GRAPH_APP_ID),
        "endpoint": quote(cloud.endpoint),
        "azure_cli": quote(cloud.azure_cli),
        "environment": quote(cloud.graph_powershell),
        "permissions": _lines(shell, permissions),
    }
    folder = Path(__file__).parent / "setup_scripts"
    suffix = {"bash": "sh", "powershell": "ps1"}[shell]
    text = (folder / f"register.{suffix}").read_text(encoding="utf-8")
    part = (folder / f"certificate.{suffix}").read_text(encoding="utf-8") if certificate else ""
    # One pass, so that a value holding a placeholder's name stays as it is.
    fill = partial(re.sub, r"__([a-z_]+)__")
    return fill(lambda found: {**values, "certificate": part}[found[1]], text)


def quote_bash(text: str) -> str:
    """`text` as a shell string in single quotes, in which nothing is expanded."""
    return "'" + text.replace("'", "'\\''") + "'"


def quote_powershell(text: str) -> str:
    """`text` as a PowerShell string in single quotes, in which nothing is expanded."""
    return "'" + re.sub(_SINGLE_QUOTES, r"\g<0>\g<0>", text) + "'"


def _lines(shell: str, permissions: list[Permission]) -> str:
    """One line a permission: its id, its name, and the sources it is for as a comment."""
    lines = []
    for item in permissions:
        what_for = f"{item.name}: {', '.join(item.sources)}"
        if shell == "bash":
            lines.append(f"  {quote_bash(item.permission_id)}  # {clean(what_for)}")
        else:
            lines.append(f"    {quote_powershell(item.permission_id)}  # {clean(what_for)}")
    return "\n".join(lines)
