"""The warehouse as a report may read it: a copy without people, made before any output is, and gone afterwards.

All that is written comes from this copy. Hiding people output by output would forget one.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from appgov_lib.actions.chosen import from_record
from appgov_lib.actions.scripts import az_rest, curl, powershell, pseudonymised
from appgov_lib.errors import ConfigError
from appgov_lib.privacy import few
from appgov_lib.privacy.declared import Declaration, declaration
from appgov_lib.privacy.people import Columns, People, gather
from appgov_lib.privacy.text import Finder, usual
from appgov_lib.privacy.tokens import tokens_of
from appgov_lib.settings import Settings, private_dir
from appgov_lib.store.copying import REAL, columns_of, copying

TOLD = ("pseudonymised", "pseudonym_key", "min_users_shown")
"""Keys of `run_info` that say how people are shown."""
_FOLDER = ".reading-"
_TEXTS = frozenset({"VARCHAR", "VARCHAR[]", "JSON"})
_SCRIPTS = ("powershell", "curl", "az_rest")
_REQUESTS = ("path", "body", "undo", "requests")
Key = tuple[Any, str | None, bool]


def wanted(settings: Settings) -> bool:
    """Whether reports of the tenant are read from anything but the warehouse itself."""
    return settings.profile.pseudonymise or settings.profile.min_users_shown > 1


@contextlib.contextmanager
def reading(settings: Settings, progress: Callable[[str], None] | None = None) -> Iterator[Settings]:
    """Settings whose warehouse may be shown: the tenant's own, or a copy that is made as its profile asks.

    The copy is in a folder inside the tenant's data, for this user alone, and vanishes with the block.
    """
    if not wanted(settings):
        yield settings
        return
    if progress:
        progress("Making a copy of the warehouse as it may be shown ...")
    for left in private_dir(settings.data_dir).glob(f"{_FOLDER}*"):
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=_FOLDER, dir=settings.data_dir) as place:
        home = Path(place)
        make_copy(settings, home)
        yield replace(settings, home=home)


def make_copy(settings: Settings, home: Path) -> People | None:
    """Make the copy in the folder `home`; return the people who are hidden in it, if they are."""
    with copying(settings, home) as con:
        return _Copy(con, settings).make()


def told_of(run: Mapping[str, str]) -> dict[str, str]:
    """What the facts of a run say of how people are shown."""
    return {name: run[name] for name in TOLD if name in run}


def told(report: Path) -> dict[str, str]:
    """The same of a report that was written; nothing where there is none."""
    try:
        return told_of(json.loads((report / "run.json").read_bytes())["warehouse"])
    except (OSError, ValueError, KeyError, TypeError):
        return {}


@dataclass
class _Copy:
    """One copy while it is made."""

    con: Any
    settings: Settings

    def make(self) -> People | None:
        """Copy every table, changed as the profile asks; return the people who are hidden."""
        declared, columns = declaration(), columns_of(self.con)
        least = self.settings.profile.min_users_shown
        finder, fingerprint = None, ""
        known: list[str] = []
        if self.settings.profile.pseudonymise:
            finder = finder_of(self.con, self.settings, columns)
            fingerprint = finder.people.tokens.fingerprint
            known = [*finder.people.ids, *finder.people.other, *finder.people.mails, *finder.people.names]
        self.con.register("known_ids", pa.table({"id": pa.array(known, pa.string())}))
        for table, kinds in columns.items():
            self._table(table, kinds, declared, finder, least)
        if finder is not None and "remediation_actions" in columns:
            self._scripts()
        if least > 1:
            few.merge_small_groups(self.con, columns, least)
        told = {"pseudonymised": "yes", "pseudonym_key": fingerprint} if finder else {}
        told |= {"min_users_shown": str(least)} if least > 1 else {}
        for key, value in told.items():
            self.con.execute("INSERT INTO run_info VALUES (?, ?)", [key, value])
        return finder.people if finder else None

    def _table(
        self, table: str, kinds: list[tuple[str, str]], declared: Declaration, finder: Finder | None, least: int
    ) -> None:
        """Copy one table; its rows stay in their order."""
        chosen, joins, registered = [], [], []
        for number, (column, kind) in enumerate(kinds):
            name = f't."{column}"'
            if least > 1 and column in declared.few.get(table, ()):
                chosen.append(f'{few.hidden_sql(name, least)} AS "{column}"')
                continue
            if kind not in _TEXTS:
                if "VARCHAR" in kind or "JSON" in kind:
                    raise ConfigError(f"The column {table}.{column} is of the kind {kind}, which cannot be searched.")
                chosen.append(name)
                continue
            one = declared.of(table)
            by = one.by.get(column)
            changed = self._changed(table, column, kind, by, one.condition(column), self._hiding(
                table, column, kind, declared, finder, least))  # fmt: skip
            if not changed:
                chosen.append(name)
                continue
            place = f"m{number}"
            self.con.register(place, _arrow(changed, kind))
            registered.append(place)
            old = name if kind.endswith("[]") else f"CAST({name} AS VARCHAR)"
            owner = f't."{by}"' if by else "NULL"
            joins.append(
                f"LEFT JOIN {place} ON {place}.old = {old} AND {place}.owner IS NOT DISTINCT FROM {owner} "
                f"AND {place}.flag = coalesce({_of_t(one.condition(column), kinds)}, false)"
            )
            new = f"CASE WHEN {place}.old IS NULL THEN {old} ELSE {place}.new END"
            chosen.append(f'CAST({new} AS {kind}) AS "{column}"')
        order = "ORDER BY t.rowid" if joins else ""
        self.con.execute(
            f"CREATE TABLE {table} AS SELECT {', '.join(chosen)} FROM {REAL}.{table} AS t {' '.join(joins)} {order}"
        )
        for place in registered:
            self.con.unregister(place)

    def _hiding(
        self, table: str, column: str, kind: str, declared: Declaration, finder: Finder | None, least: int
    ) -> Callable[[Key], Any] | None:
        """What becomes of one value of a column; None where nothing does."""
        if table.startswith("ref_") or (finder is None and least <= 1):
            return None
        one = declared.of(table)
        strict, address = column in one.person, column in one.address

        def text(value: str, by: str | None, flag: bool) -> str:
            """One text."""
            if finder is not None:
                whole = None
                if flag and address:
                    whole = finder.people.tokens.of("address", usual(value) or value.lower())
                elif flag:
                    whole = finder.people.whole(value, by, strict=strict)
                value = finder.hide(value) if whole is None else whole
            return few.hidden_text(value, least, declared.few_json, kind == "JSON") if least > 1 else value

        def change(key: Key) -> Any:
            """One value, of a list each item."""
            value, by, flag = key
            return [text(item, by, flag) for item in value] if isinstance(value, list) else text(value, by, flag)

        return change

    def _changed(
        self, table: str, column: str, kind: str, by: str | None, condition: str, change: Callable[[Key], Any] | None
    ) -> list[tuple[Key, Any]]:
        """The values of a column that become others, with what they become."""
        if change is None:
            return []
        value = f'"{column}"' if kind.endswith("[]") else f'CAST("{column}" AS VARCHAR)'
        where = f'"{column}" IS NOT NULL'
        if kind == "VARCHAR" and condition == "false":
            # most texts of a warehouse are ids of records, each once; those of nobody need not be looked at
            where += f""" AND NOT (regexp_full_match("{column}", '[0-9A-Fa-f-]{{9,}}')
                AND lower("{column}") NOT IN (SELECT id FROM known_ids))"""
        rows = self.con.execute(
            f"SELECT DISTINCT {value}, {by or 'CAST(NULL AS VARCHAR)'}, coalesce({condition}, false) "
            f"FROM {REAL}.{table} WHERE {where}"
        ).fetchall()
        return [(row, new) for row in rows if (new := change(row)) != row[0]]

    def _scripts(self) -> None:
        """Write the scripts of the plan anew: one that names a person cannot run without that name, and says so."""
        parts = ", ".join(f"CAST({column} AS VARCHAR)" for column in _REQUESTS)
        real = dict(self._by_action(f"SELECT action_id, {parts} FROM {REAL}.remediation_actions"))
        shown = dict(self._by_action(f"SELECT action_id, {parts} FROM remediation_actions"))
        rows = self.con.execute(
            "SELECT action_id, title, permission_needed, CAST(requests AS VARCHAR), powershell, curl, az_rest "
            "FROM remediation_actions"
        ).fetchall()
        for action, title, permission, requests, *scripts in rows:
            if not any(scripts):
                continue
            if real[action] != shown[action]:
                new = [pseudonymised(action) if script else None for script in scripts]
            else:
                record = {"action_id": action, "title": title, "requests": json.loads(requests or "[]")}
                sent = [part.request for part in from_record(record).parts]
                made = (powershell(sent, title, permission or ""), curl(sent, title), az_rest(sent, title))
                new = [text if script else None for text, script in zip(made, scripts, strict=True)]
            said = ", ".join(f"{name} = ?" for name in _SCRIPTS)
            self.con.execute(f"UPDATE remediation_actions SET {said} WHERE action_id = ?", [*new, action])

    def _by_action(self, query: str) -> Iterator[tuple[str, tuple[Any, ...]]]:
        """Rows by their first column."""
        for action, *rest in self.con.execute(query).fetchall():
            yield action, tuple(rest)


def finder_of(con: Any, settings: Settings, columns: Columns) -> Finder:
    """What finds the people of the real warehouse that is attached to `con`."""
    declared = declaration()
    people = gather(con, declared, columns, tokens_of(settings))
    return Finder(people, declared.json_person, _vendors(con, declared, columns))


def _vendors(con: Any, declared: Declaration, columns: Columns) -> set[str]:
    """Names from outside the tenant: of Microsoft's apps and those of verified publishers, of publishers and roles."""
    found: set[str] = set()
    for place in declared.vendors:
        table, column = place.split(".")
        if column in dict(columns.get(table, [])):
            rows = con.execute(f"SELECT DISTINCT {column} FROM {REAL}.{table} WHERE {column} IS NOT NULL").fetchall()
            found |= {row[0] for row in rows}
    if "app_inventory" in columns:
        rows = con.execute(
            f"SELECT DISTINCT display_name FROM {REAL}.app_inventory WHERE display_name IS NOT NULL "
            "AND (app_origin = 'microsoft' OR publisher_verified)"
        ).fetchall()
        found |= {row[0] for row in rows}
    return found


def _of_t(condition: str, kinds: list[tuple[str, str]]) -> str:
    """A condition whose columns are those of the table `t`."""
    names = {column for column, _ in kinds}
    return " ".join(f't."{word}"' if word in names else word for word in condition.split())


def _arrow(changed: list[tuple[Key, Any]], kind: str) -> pa.Table:
    """Old and new values as a table to join with."""
    value = pa.list_(pa.string()) if kind.endswith("[]") else pa.string()
    return pa.table(
        {
            "old": pa.array([key[0] for key, _ in changed], value),
            "owner": pa.array([key[1] for key, _ in changed], pa.string()),
            "flag": pa.array([key[2] for key, _ in changed], pa.bool_()),
            "new": pa.array([new for _, new in changed], value),
        }
    )
