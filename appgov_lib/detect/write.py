"""Writing rows that Python made as a table, with the types the table shall have."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

import duckdb
import pyarrow as pa

_ARROW = {
    "VARCHAR": pa.string(),
    "JSON": pa.string(),
    "DOUBLE": pa.float64(),
    "BIGINT": pa.int64(),
    "INTEGER": pa.int32(),
    "BOOLEAN": pa.bool_(),
    "DATE": pa.date32(),
    "VARCHAR[]": pa.list_(pa.string()),
}

BATCH = 20_000
"""Rows turned into columns at once: a plan may have a hundred thousand long ones."""


def write_table(
    con: duckdb.DuckDBPyConnection, name: str, types: Mapping[str, str], rows: Iterable[Mapping[str, Any]]
) -> None:
    """Create or replace table `name` (a name of ours) with these rows, in their order. `types` are DuckDB types."""
    kinds = {column: _ARROW[kind] for column, kind in types.items()}
    schema = pa.schema(list(kinds.items()))
    columns = ", ".join(f"CAST({column} AS {kind}) AS {column}" for column, kind in types.items())
    con.execute(f"CREATE OR REPLACE TABLE {name} ({', '.join(f'{column} {kind}' for column, kind in types.items())})")
    ahead = iter(rows)
    while batch := list(islice(ahead, BATCH)):
        arrays = [pa.array([_plain(row[column]) for row in batch], type=kind) for column, kind in kinds.items()]
        con.register("rows_to_write", pa.Table.from_arrays(arrays, schema=schema))
        con.execute(f"INSERT INTO {name} SELECT {columns} FROM rows_to_write")
        con.unregister("rows_to_write")


def _plain(value: object) -> object:
    """The value as Arrow takes it: tuples as lists, text enums as text."""
    if isinstance(value, tuple):
        return list(value)
    return str(value) if isinstance(value, str) else value
