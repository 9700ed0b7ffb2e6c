"""Which columns of the warehouse hold people, as `people.toml` declares them."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("people.toml")


@dataclass(frozen=True)
class Declared:
    """The people in one table."""

    name: str
    person: tuple[str, ...] = ()
    either: tuple[str, ...] = ()
    by: Mapping[str, str] = field(default_factory=dict)
    """The column with the id that a name belongs to, by column."""
    when: str = "true"
    """SQL: the rows on which a column of `person` holds people."""
    address: tuple[str, ...] = ()
    used_by_people: str = "false"
    """SQL: the rows on which a person used the address."""

    def condition(self, column: str) -> str:
        """The rows on which a column is hidden as a whole."""
        if column in self.either:
            return "true"
        if column in self.person:
            return self.when
        return self.used_by_people if column in self.address else "false"


@dataclass(frozen=True)
class Declaration:
    """All of the file."""

    tables: Mapping[str, Declared]
    searched: frozenset[str]
    """Columns in which people stand beside other things."""
    nobody: frozenset[str]
    """Columns that sound like people and hold none."""
    json_person: frozenset[str]
    app_ids: tuple[str, ...]
    app_names: tuple[str, ...]
    vendors: tuple[str, ...]
    app_addresses: tuple[str, ...]
    few: Mapping[str, tuple[str, ...]]
    few_json: frozenset[str]

    def of(self, table: str) -> Declared:
        """What is declared of a table; nothing where it holds no people."""
        return self.tables.get(table, Declared(table))


@cache
def declaration() -> Declaration:
    """Read `people.toml`."""
    content = tomllib.loads(FILE.read_text(encoding="utf-8"))
    tables = {}
    for entry in content["table"]:
        lists = {name: tuple(value) for name, value in entry.items() if isinstance(value, list)}
        values: dict[str, Any] = {**entry, **lists}
        tables[entry["name"]] = Declared(**values)
    return Declaration(
        tables=tables,
        searched=frozenset(content["columns"]["searched"]),
        nobody=frozenset(content["columns"]["nobody"]),
        json_person=frozenset(content["json"]["person"]),
        app_ids=tuple(content["apps"]["ids"]),
        app_names=tuple(content["apps"]["names"]),
        vendors=tuple(content["apps"]["vendors"]),
        app_addresses=tuple(content["apps"]["addresses"]),
        few={name: tuple(columns) for name, columns in content["few"].items()},
        few_json=frozenset(content["few_json"]["names"]),
    )
