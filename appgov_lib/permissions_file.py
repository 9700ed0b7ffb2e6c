"""`appgov permissions refresh`: Microsoft's published permissions file as our table of which permission allows what.

The published form (the schema it names is that of Microsoft's Kibali): `permissions` -> name -> `schemes`, each with
a `privilegeLevel` from 1 to 5, and `pathSets`, each with `schemeKeys`, `methods` and `paths`, whose values say
`least=DelegatedWork,Application` where the permission is the least one for the call.

"Not in the list" is used as proof that a permission was not needed, so a list must not forget one. The published
lists do forget: wider permissions of the same name, and those limited to chosen objects. Both are added.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import click

from appgov_lib.errors import ConfigError, ExitCode
from appgov_lib.output import print_json
from appgov_lib.settings import Settings, private_write
from appgov_lib.terminal import clean

TABLE = "endpoint_permissions.csv"
SHIPPED = Path(__file__).parent / "reference" / TABLE
COLUMNS = ("method", "endpoint", "permission_type", "permissions", "source")
SOURCE = "Microsoft's published permissions file"
TYPES = {"DelegatedWork": "delegated", "Application": "application"}
LARGEST = 64 * 1024 * 1024
"""Bytes read at most; the published file has about 3 million."""

Call = tuple[str, str, str]
"""Endpoint in our normal form, method, permission type."""
Lists = dict[Call, dict[str, tuple[bool, int]]]
"""Call -> permission -> (not the least one, privilege level): sorting the values puts the most modest first."""

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*")
_LIMITED = re.compile(r"Selected|OwnedBy|AppFolder|CreatedByApp|WhereInstalled")
_STEPS = {"ReadBasic": 0, "Read": 1, "ReadWrite": 3, "Manage": 4, "FullControl": 5}
_DIRECTORY = {"Directory.Read.All", "Directory.ReadWrite.All"}


@dataclass(frozen=True)
class Refreshed:
    """What came in."""

    path: Path
    """The table written."""
    permissions: int
    """Permissions that the file names with at least one call."""
    calls: int
    """Calls (endpoint, method, permission type) from the file."""
    kept: int
    """Rows of the shipped table for calls that the file does not name."""
    left_out: int
    """Paths of the file that are not of a form that calls have."""


def refresh(settings: Settings, file: Path) -> Refreshed:
    """Write `<home>/reference/endpoint_permissions.csv` from a downloaded file; the next build uses it.

    Raises `ConfigError`, with nothing written, for a file that cannot be read or is not of the published form.
    """
    lists, left_out = read_published(file)
    named = {name for found in lists.values() for name in found}
    shipped = {(row["endpoint"].lower(), row["method"], row["permission_type"]): row for row in _shipped()}
    names_of = {key: row["permissions"].split(" ") for key, row in shipped.items()}
    known: dict[str, set[str]] = defaultdict(set)
    for call, found in lists.items():
        known[call[2]] |= found.keys()
    rows = []
    for call, found in sorted(lists.items()):
        names = sorted(found, key=lambda name: (*found[name], name))
        names += _wider(names, call[2], known[call[2]])
        # ours for the same call whole; of a list for a branch only what the file is known to forget
        names += names_of.get(call) or [name for name in _above(call, names_of) if _LIMITED.search(name)]
        rows.append((call[1], call[0], call[2], " ".join(dict.fromkeys(names)), SOURCE))
    rest = [tuple(str(row[column]) for column in COLUMNS) for key, row in shipped.items() if key not in lists]
    path = settings.reference_dir / TABLE
    private_write(path, _as_csv([*rows, *rest]))
    return Refreshed(path, len(named), len(rows), len(rest), left_out)


def read_published(file: Path) -> tuple[Lists, int]:
    """The calls of a published file with their permissions, and how many of its paths are not of a usable form.

    Raises `ConfigError` when the file cannot be read or is something else.
    """
    try:
        if file.stat().st_size > LARGEST:
            raise ConfigError(f"The file {file} is larger than {LARGEST >> 20} MB; Microsoft's has about 3 MB.")
        document = json.loads(file.read_bytes())
    except OSError as error:
        raise ConfigError(f"The file {file} cannot be read: {error.strerror or error}.") from None
    except (ValueError, RecursionError):
        raise ConfigError(f"The file {file} is not JSON; download Microsoft's permissions.json again.") from None
    lists: Lists = defaultdict(dict)
    left_out = set()
    try:
        for name, kind, level, method, path, least in _entries(document):
            endpoint = normal_path(path)
            if endpoint is None:
                left_out.add(path)
                continue
            before = lists[endpoint, method, kind].get(name, (True, level))
            lists[endpoint, method, kind][name] = min(before, (not least, level))
    except (AttributeError, KeyError, TypeError, ValueError):
        lists.clear()
    if not lists:
        raise ConfigError(
            f"The file {file} is not of the form of Microsoft's permissions.json (permissions, schemes, pathSets); "
            "nothing was changed."
        )
    return dict(lists), len(left_out)


def _entries(document: Any) -> Iterator[tuple[str, str, int, str, str, bool]]:
    """Name, type, privilege level, method, path and whether it is the least, for each call of each permission.

    Anything but the published form ends in a KeyError, TypeError, ValueError or AttributeError.
    """
    known = {row["method"] for row in _shipped()}
    for name, permission in document["permissions"].items():
        if not _NAME.fullmatch(name):
            raise KeyError(name)
        for paths in permission["pathSets"]:
            for scheme in TYPES.keys() & set(paths["schemeKeys"]):
                level = permission["schemes"].get(scheme, {}).get("privilegeLevel", 9)
                for path, notes in paths["paths"].items():
                    least = re.search(r"least=([^;]*)", notes)
                    is_least = least is not None and scheme in re.split(r"\W+", least[1])
                    for method in sorted(known & {method.upper() for method in paths["methods"]}):
                        yield name, TYPES[scheme], int(level), method, path, is_least


def normal_path(path: str) -> str | None:
    """A published path as our column `endpoint` has it; None when it is not the path of a call.

    No version, no query; ids are `{id}`, keys `/{id}`, arguments of functions `({id})`, and `/me` is `/users/{id}`. The
    file spells the same path in several ways, so it comes out in lower case; matching does not look at case.
    """
    found = re.sub(r"[?#].*$", "", path.strip())
    found = re.sub(r"^/*(v1\.0|beta)(?=/)", "", re.sub(r"/{2,}", "/", found))
    found = re.sub(r"\('?\{[^{}()]*\}'?\)|\('[^']*'\)", "/{id}", found)  # users('x'): a key
    found = re.sub(r"/\([^()/]*\)(?=/|$)", "/{id}", found)  # a whole segment in brackets stands for an id
    found = re.sub(r"\([^()]+\)", "({id})", found)
    found = re.sub(r"\{[^{}]*\}", "{id}", found)
    found = re.sub(r"/(?:\d+|[0-9a-f]{8}-[0-9a-f]{4}-[^/]*)(?=/|$)", "/{id}", found, flags=re.IGNORECASE)
    found = re.sub(r"^/me(?=/|$)", "/users/{id}", found, flags=re.IGNORECASE).rstrip("/")
    return found.lower() if re.fullmatch(r"(/[A-Za-z0-9_$.:(){}-]+)+", found) else None


def _wider(names: list[str], kind: str, known: set[str]) -> list[str]:
    """Permissions that include one of `names` by their own names: Mail.ReadWrite includes Mail.Read."""
    found = [
        other
        for other in sorted(known)
        if any(_includes(other, name) for name in names if name.split(".")[0] == other.split(".")[0])
    ]
    if kind == "delegated" and _DIRECTORY & {*names, *found}:
        found.append("Directory.AccessAsUser.All")
    return found


def _includes(wide: str, narrow: str) -> bool:
    """Whether the first permission allows all the second does, told by operation and constraint of one resource."""
    noun, operation, constraint = (*narrow.split(".", 2), "", "")[:3]
    other, stronger, reach = (*wide.split(".", 2), "", "")[:3]
    return (
        noun == other
        and operation in _STEPS
        and _STEPS.get(stronger, -1) >= _STEPS[operation]
        and (reach in (constraint, "All") or (constraint == "" and reach == "Shared"))
    )


def _above(call: Call, names_of: dict[Call, list[str]]) -> list[str]:
    """What the shipped table lists for the nearest branch (`/**`) that a call is in; nothing where it has none."""
    path = call[0]
    while path:
        found = names_of.get((f"{path}/**", *call[1:]))
        if found:
            return found
        path = path.rpartition("/")[0]
    return []


@cache
def _shipped() -> list[dict[str, str]]:
    """The table that comes with the package."""
    with SHIPPED.open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


def _as_csv(rows: list[tuple[str, ...]]) -> bytes:
    """The table as bytes, in a fixed order."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    ordered = sorted(rows, key=lambda row: (row[1].lower(), row[0], row[2]))
    writer.writerows(ordered)
    return text.getvalue().encode()


def permissions_group(common: Callable[[Callable[..., Any]], Callable[..., Any]]) -> click.Group:
    """The command group; `common` gives a verb the options every verb has."""

    @click.group()
    def permissions() -> None:
        """What is known about Graph permissions: which of them allow which call."""

    @permissions.command(name="refresh")
    @common
    @click.argument("file", type=click.Path(path_type=Path))
    def permissions_refresh(settings: Settings, as_json: bool, quiet: bool, file: Path) -> int:
        """Take in FILE, Microsoft's own list of which permissions allow which call, for the next build.

        Microsoft publishes it as permissions/new/permissions.json in the repository
        microsoftgraph/microsoft-graph-devx-content on GitHub; download it and name it here. The shipped table goes on
        answering for calls that the file does not name; remove reference/endpoint_permissions.csv in APPGOV_HOME to
        return to the shipped table alone.
        """
        result = refresh(settings, file)
        if as_json:
            print_json(asdict(result))
        else:
            click.echo(
                f"{result.calls} calls and {result.permissions} permissions came in, {result.kept} rows of the shipped "
                f"table stay, {result.left_out} paths were left out: {clean(result.path, 400)}"
            )
        return ExitCode.DONE

    return permissions
