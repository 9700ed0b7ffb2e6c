"""A bench for one model at a time: text tables or raw records in, rows out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import pytest
from tables import load_table

from appgov_lib.store.models import Model, load_models, prepare, run_model

AS_OF = date(2026, 11, 15)


@cache
def _models() -> dict[str, Model]:
    """The catalogue by name, read once."""
    return {model.name: model for model in load_models()}


class Bench:
    """An empty in-memory warehouse with macros and reference tables, and every model's SQL at hand."""

    def __init__(self, folder: Path) -> None:
        self.con = duckdb.connect()
        self.con.execute("SET TimeZone = 'UTC'")
        prepare(self.con)
        self.models = _models()
        self._folder = folder
        self._files: dict[str, list[Path]] = {}

    def table(self, name: str, text: str) -> None:
        """Make an input table from text."""
        load_table(self.con, name, text)

    def reference(self, name: str, text: str) -> None:
        """Replace a reference table."""
        load_table(self.con, f"ref_{name}", text)

    def raw(self, bucket: str, records: list[Any]) -> None:
        """Write raw records of a bucket, one JSON value a line; a str is written as it is."""
        path = self._folder / f"{bucket}-{len(self._files.get(bucket, []))}.ndjson"
        lines = [record if isinstance(record, str) else json.dumps(record) for record in records]
        path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
        self._files.setdefault(bucket, []).append(path)

    def run(self, name: str, as_of: date = AS_OF, days: int = 7) -> list[dict[str, Any]]:
        """Run one model and return its rows as dicts, in their order."""
        run_model(self.con, self.models[name], self._files, as_of, days)
        return self.rows(f"SELECT * FROM {name}")

    def empty(self, *names: str) -> None:
        """Run models without any raw record: a quick way to an empty table with the right columns."""
        for name in names:
            run_model(self.con, self.models[name], {}, AS_OF, 7)

    def rows(self, sql: str) -> list[dict[str, Any]]:
        """Rows of a query as dicts."""
        cursor = self.con.execute(sql)
        columns = [column[0] for column in cursor.description or []]
        return [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """A fresh bench."""
    made = Bench(tmp_path)
    yield made
    made.con.close()
