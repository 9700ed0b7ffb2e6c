"""Facts about Graph permissions: their ids, which others read the same, and which do more than read."""

from __future__ import annotations

import csv
import re
from functools import cache
from pathlib import Path

from appgov_lib.errors import ConfigError
from appgov_lib.extract.sources import Source, load_sources

GRAPH_APP_ID = "00000003-0000-0000-c000-000000000000"
"""Application id of Microsoft Graph, the same in every tenant and cloud (Microsoft Learn: first-party apps)."""
SIGN_IN_SCOPES = frozenset({"openid", "profile", "email", "offline_access"})
"""Delegated scopes that serve the sign-in itself and open no data of the tenant."""


@cache
def permission_ids() -> dict[str, str]:
    """Ids of the application permissions of Microsoft Graph that the catalogue may name, by name."""
    return {row["permission"]: row["permission_id"] for row in _rows("permission_ids.csv")}


@cache
def _covers() -> dict[tuple[str, str], tuple[str, ...]]:
    """(path, least permission) -> permissions documented as sufficient too, the more modest first."""
    found: dict[tuple[str, str], tuple[str, ...]] = {}
    for row in _rows("permission_covers.csv"):
        key = (row["path"], row["permission"])
        found[key] = (*found.get(key, ()), row["covered_by"])
    return found


def sufficient(source: Source) -> tuple[str, ...]:
    """Permissions any of which reads `source`: the least one first."""
    return (source.permission, *_covers().get((source.path, source.permission), ()))


def needed(sources: tuple[Source, ...] | None = None) -> dict[str, list[Source]]:
    """Permission -> the sources it is the least one for, both in alphabetical and catalogue order; all by default."""
    found: dict[str, list[Source]] = {}
    for source in load_sources().values() if sources is None else sources:
        found.setdefault(source.permission, []).append(source)
    return dict(sorted(found.items()))


def id_of(permission: str) -> str:
    """The id of an application permission of Microsoft Graph; raises `ConfigError` for one without a known id."""
    if permission not in permission_ids():
        raise ConfigError(f"permission_ids.csv has no id for {permission!r}, which the catalogue of sources names.")
    return permission_ids()[permission]


def only_reads(permission: str) -> bool:
    """Whether a permission's name says it reads and no more.

    Names are resource.operation.constraint (Microsoft Graph permissions reference); an operation that is not some
    form of Read (Send, Manage, Create, Selected, ...) counts as more than reading, since it may be.
    """
    operation = permission.split(".")[1] if "." in permission else ""
    return operation.startswith("Read") and not re.search("Write|Update", operation)


def _rows(name: str) -> list[dict[str, str]]:
    """The rows of one of our tables of facts."""
    with (Path(__file__).parent / name).open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))
