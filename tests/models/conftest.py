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

from appgov_lib.store.models import MODELS_DIR, Model, load_models, prepare, run_model

AS_OF = date(2026, 11, 15)


@cache
def _models() -> dict[str, Model]:
    """The catalogue by name, read once."""
    return {model.name: model for model in load_models()}


def _prepared() -> tuple[duckdb.DuckDBPyConnection, frozenset[str]]:
    """A connection with macros and reference tables, and the names of its tables."""
    con = duckdb.connect()
    con.execute("SET TimeZone = 'UTC'")
    prepare(con)
    return con, _tables(con)


_shared = cache(_prepared)
"""The same, made once a process: loading the tables takes longer than most tests do."""


def _tables(con: duckdb.DuckDBPyConnection) -> frozenset[str]:
    """Names of the tables there are, temporary ones too."""
    return frozenset(row[0] for row in con.execute("SELECT table_name FROM duckdb_tables()").fetchall())


class Bench:
    """An empty in-memory warehouse with macros and reference tables, and every model's SQL at hand."""

    def __init__(self, folder: Path, *, own: bool = False) -> None:
        """`own` benches live beside others, so they do not share the connection."""
        self.con, self._kept = _prepared() if own else _shared()
        self.reference_changed = own
        self.models = _models()
        self._folder = folder
        self._files: dict[str, list[Path]] = {}

    def table(self, name: str, text: str) -> None:
        """Make an input table from text."""
        load_table(self.con, name, text)

    def requests(self, text: str) -> None:
        """Make stg_api_activity from text, columns not given being NULL, and the daily calls counted from it."""
        self.table("given_requests", text)
        given = {row["column_name"] for row in self.rows("DESCRIBE given_requests")}
        kinds = {
            "called_at": "TIMESTAMP", "status": "INTEGER", "bytes_returned": "BIGINT", "is_app_only": "BOOLEAN",
            "is_batch_envelope": "BOOLEAN",
        }  # fmt: skip
        missing = [
            f"CAST({'false' if name == 'is_batch_envelope' else 'NULL'} AS {kinds.get(name, 'VARCHAR')}) AS {name}"
            for name in self.models["stg_api_activity"].columns
            if name not in given
        ]
        self.con.execute(
            f"CREATE OR REPLACE TABLE stg_api_activity AS SELECT {', '.join(['*', *missing])} FROM given_requests"
        )
        if not self.rows("SELECT 1 FROM duckdb_tables() WHERE table_name = 'stg_api_activity_sums'"):
            self.table("api_paths", "path | endpoint | service | resource_type | is_batch_envelope BOOLEAN")
            self.empty("api_sums", "stg_api_activity_sums")
        for name in ("api_day_sources", "api_calls_daily"):
            self.run(name)

    def reference(self, name: str, text: str) -> None:
        """Replace a reference table."""
        self.reference_changed = True
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

    def close(self) -> None:
        """Leave the shared connection as a new one would be."""
        if self.reference_changed:
            self.con.close()
            _shared.cache_clear()
            return
        for name in _tables(self.con) - self._kept:
            self.con.execute(f'DROP TABLE "{name}"')
        self.con.execute((MODELS_DIR / "before.sql").read_text(encoding="utf-8"))

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
    made.close()
