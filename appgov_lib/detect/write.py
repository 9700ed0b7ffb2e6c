"""Writing rows that Python made as a table, with the types the table shall have."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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


def write_table(
    con: duckdb.DuckDBPyConnection, name: str, types: Mapping[str, str], rows: Iterable[Mapping[str, Any]]
) -> None:
    """Create or replace table `name` (a name of ours) with these rows, in their order. `types` are DuckDB types."""
    schema = pa.schema([(column, _ARROW[kind]) for column, kind in types.items()])
    listed = [{column: _plain(row[column]) for column in types} for row in rows]
    con.register("rows_to_write", pa.Table.from_pylist(listed, schema=schema))
    columns = ", ".join(f"CAST({column} AS {kind}) AS {column}" for column, kind in types.items())
    con.execute(f"CREATE OR REPLACE TABLE {name} AS SELECT {columns} FROM rows_to_write")
    con.unregister("rows_to_write")


def _plain(value: object) -> object:
    """The value as Arrow takes it: tuples as lists, text enums as text."""
    if isinstance(value, tuple):
        return list(value)
    return str(value) if isinstance(value, str) else value
