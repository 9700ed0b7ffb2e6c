"""What somebody approved an app to be: its permissions, owners, credentials, reply URLs and publisher on one day.

Baselines stand in `policies/approved.toml` in the home folder, one `[[app]]` each, written by `appgov policies
approve`. The policy approved-set-changed finds every deviation; an app without a baseline is not judged by it.
"""

from __future__ import annotations

import datetime as dt
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from appgov_lib import formats
from appgov_lib.detect.coverage import read_coverage, why_not
from appgov_lib.detect.policy import policy_named
from appgov_lib.detect.text import quoted
from appgov_lib.detect.write import write_table
from appgov_lib.errors import ConfigError
from appgov_lib.settings import Settings, private_write

FILE = "approved.toml"
POLICY = "approved-set-changed"
KINDS = {
    "permissions": "permission",
    "owners": "owner",
    "credentials": "credential",
    "reply_urls": "reply_url",
    "publisher": "publisher",
}
"""By key of an entry: the kind in the table."""
BASELINE_TYPES = {
    "app_id": "VARCHAR",
    "kind": "VARCHAR",
    "value": "VARCHAR",
    "approved_by": "VARCHAR",
    "approved_on": "DATE",
    "reason": "VARCHAR",
}
_TEXTS = ("tenant", "app", "approved_by", "reason")
_KNOWN = (*_TEXTS, "name", "approved_on", *KINDS)
_HEAD = """# What each app was approved to be. `appgov policies approve` writes this file; the policy
# approved-set-changed finds what deviates. To take an approval back, remove its [[app]] with the tables below it.
"""


@dataclass(frozen=True)
class Baseline:
    """One approved app."""

    tenant: str
    """Name of the tenant profile."""
    app: str
    """Application id, lower case."""
    name: str
    """Name of the app when it was approved, for the reader."""
    approved_by: str
    approved_on: dt.date
    reason: str
    parts: Mapping[str, Mapping[str, str]]
    """By key of `KINDS`: each value with its name for the reader; a key that is missing was not known."""


def load_baselines(folder: Path) -> tuple[Baseline, ...]:
    """The baselines of the folder's `approved.toml`, in file order; none where there is no file.

    Raises `ConfigError` naming the entry when the file cannot be used.
    """
    path = folder / FILE
    try:
        entries = tomllib.loads(path.read_text(encoding="utf-8")).get("app", [])
    except FileNotFoundError:
        return ()
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read as TOML: {error}.") from error
    if not isinstance(entries, list):
        raise ConfigError(f"{path}: write each approved app under a heading [[app]] of its own.")
    found = tuple(_baseline(entry, f"{path}, app {number}") for number, entry in enumerate(entries, 1))
    keys = [(entry.tenant, entry.app) for entry in found]
    for number, key in enumerate(keys):
        if key in keys[:number]:
            raise ConfigError(f"{path}, app {number + 1}: {key[1]} is approved twice for tenant {key[0]}; keep one.")
    return found


def _baseline(entry: Any, place: str) -> Baseline:
    """One entry; raises `ConfigError` saying what is wrong with it."""
    if not isinstance(entry, dict):
        raise ConfigError(f"{place}: write it under a heading [[app]].")
    unknown = sorted(entry.keys() - set(_KNOWN))
    if unknown:
        raise ConfigError(f"{place} has the unknown key {unknown[0]!r}; known are {', '.join(_KNOWN)}.")
    for key in (*_TEXTS, "approved_on"):
        if not entry.get(key):
            raise ConfigError(f"{place} has no {key}; every baseline needs {', '.join((*_TEXTS, 'approved_on'))}.")
    for key in (*_TEXTS, "name"):
        if not isinstance(entry.get(key, ""), str):
            raise ConfigError(f"{place}: {key} is {entry[key]!r}; write a text in quotes.")
    day = entry["approved_on"]
    if not isinstance(day, dt.date) or isinstance(day, dt.datetime):
        raise ConfigError(f"{place}: approved_on is {day!r}; write a date without quotes, e.g. 2026-11-15.")
    return Baseline(
        tenant=entry["tenant"],
        app=entry["app"].strip().lower(),
        name=entry.get("name", ""),
        approved_by=entry["approved_by"],
        approved_on=day,
        reason=entry["reason"],
        parts={key: _part(entry[key], f"{place}: {key}") for key in KINDS if key in entry},
    )


def _part(value: Any, place: str) -> dict[str, str]:
    """The values of one kind with their names: a table `value = "name"`, a list of values, or one text."""
    if isinstance(value, str):
        value = [value]
    if isinstance(value, list):
        value = dict.fromkeys(map(str, value), "") if all(isinstance(item, str) for item in value) else None
    if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
        raise ConfigError(f"{place} must be a list of texts, or a table that gives each value its name.")
    return dict(value)


def write_baselines(con: duckdb.DuckDBPyConnection, settings: Settings, folder: Path | None = None) -> None:
    """Create the table `approved_baselines` of this tenant.

    A row without a value says that nothing of its kind was approved; a kind without rows was not known and is not
    judged.
    """
    rows: list[dict[str, Any]] = []
    for entry in load_baselines(folder or settings.policies_dir):
        if entry.tenant == settings.tenant:
            for key, values in entry.parts.items():
                told = {"app_id": entry.app, "kind": KINDS[key], "approved_by": entry.approved_by}
                dated = {"approved_on": entry.approved_on, "reason": entry.reason}
                listed: list[str | None] = [*sorted(values)] or [None]
                rows += [{**told, **dated, "value": value} for value in listed]
    write_table(con, "approved_baselines", BASELINE_TYPES, rows)


def approve(
    con: duckdb.DuckDBPyConnection, settings: Settings, app: str, *, approver: str, reason: str, today: dt.date
) -> Baseline:
    """Record what `app` (an application id, an object id or a name) is in the warehouse `con` as approved.

    An earlier approval of the app is replaced. Raises `ConfigError` for an app that is not known or not one, an
    approver or reason that is empty, and where the sources do not say all there is to approve.
    """
    for word, text in (("--approver", approver), ("--reason", reason)):
        if not text.strip():
            raise ConfigError(f"{word} is empty; an approval needs a name and a reason.")
    skip = why_not(policy_named(POLICY), read_coverage(con))
    if skip is not None:
        raise ConfigError(f"The app cannot be approved, because not all of it is known. {skip.reason}")
    app_id, name, object_id, owners_known = _app(con, app)
    parts = _present(con, app_id, object_id, owners_known)
    made = Baseline(settings.tenant, app_id, formats.plain(name, 120), approver.strip(), today, reason.strip(), parts)
    folder = settings.policies_dir
    kept = [entry for entry in load_baselines(folder) if (entry.tenant, entry.app) != (made.tenant, made.app)]
    ordered = sorted([*kept, made], key=lambda entry: (entry.tenant, entry.name.lower(), entry.app))
    private_write(folder / FILE, _toml(ordered).encode())
    return made


def _app(con: duckdb.DuckDBPyConnection, text: str) -> tuple[str, str, str, bool]:
    """Application id, name and object id of the app that `text` names, and whether its owners are known."""
    columns = "app_id, display_name, service_principal_id, owner_count IS NOT NULL"
    wanted = {"text": text.strip()}
    for condition in ("lower($text) IN (app_id, service_principal_id)", "display_name = $text"):
        query = f"SELECT {columns} FROM app_inventory WHERE {condition} AND app_id IS NOT NULL ORDER BY app_id"
        found = con.execute(query, wanted).fetchall()
        if len(found) == 1:
            return str(found[0][0]), str(found[0][1] or ""), str(found[0][2]), bool(found[0][3])
        if found:
            raise ConfigError(f"{len(found)} apps are called {formats.plain(text, 80)!r}; give the app id of one.")
    raise ConfigError(
        f"There is no app {formats.plain(text, 80)!r} in the warehouse; give its app id or its exact name."
    )


_PUBLISHER = "concat(coalesce(publisher_name, 'none'), CASE WHEN publisher_verified THEN ', verified' END)"
_PRESENT = {
    "permissions": "SELECT concat_ws(' ', permission_type, permission, resource_id), resource_name "
    "FROM app_permissions WHERE service_principal_id = $object_id",
    "owners": "SELECT owner_id, owner_name FROM app_owners WHERE service_principal_id = $object_id",
    "credentials": "SELECT concat_ws(' ', credential_type, key_id), name FROM app_credentials WHERE app_id = $app_id",
    "reply_urls": "SELECT unnest(reply_urls), '' FROM app_inventory WHERE service_principal_id = $object_id",
    "publisher": f"SELECT {_PUBLISHER}, '' FROM app_inventory WHERE service_principal_id = $object_id",
}
"""By key of `KINDS`: what an app has, spelled as in the policy's rule, with a name for the reader."""


def _present(con: duckdb.DuckDBPyConnection, app_id: str, object_id: str, owners: bool) -> dict[str, dict[str, str]]:
    """What the app has now; owners only where they could be read."""
    found = {}
    for key, query in _PRESENT.items():
        if key != "owners" or owners:
            given = {"app_id": app_id, "object_id": object_id}
            used = {name: value for name, value in given.items() if f"${name}" in query}
            rows = con.execute(f"{query} ORDER BY ALL", used).fetchall()
            found[key] = {str(value): formats.plain(name, 80) if name else "" for value, name in rows}
    return found


def _toml(entries: Iterable[Baseline]) -> str:
    """The whole file."""
    parts = [_HEAD]
    for entry in entries:
        lines = ["[[app]]", *(f"{key} = {quoted(getattr(entry, key))}" for key in ("tenant", "app", "name"))]
        lines += [f"approved_by = {quoted(entry.approved_by)}", f"approved_on = {entry.approved_on}"]
        lines += [f"reason = {quoted(entry.reason)}"]
        for key, values in entry.parts.items():
            lines += ["", f"[app.{key}]", *(f"{quoted(value)} = {quoted(name)}" for value, name in values.items())]
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)
