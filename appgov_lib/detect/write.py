"""Writing rows that Python made as a table, with the types the table shall have."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
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
    con: duckdb.DuckDBPyConnection,
    name: str,
    types: Mapping[str, str],
    rows: Iterable[Mapping[str, Any]],
    *,
    step: bool = False,
    more: bool = False,
) -> None:
    """Create or replace table `name` (a name of ours) with these rows, in their order. `types` are DuckDB types.

    With `step` the table is one the warehouse does not keep; with `more` the rows are added to those there are.
    """
    start = f"INSERT INTO {name}" if more else f"CREATE OR REPLACE {'TEMP ' if step else ''}TABLE {name} AS"
    schema = pa.schema([(column, _ARROW[kind]) for column, kind in types.items()])
    columns = ", ".join(f"CAST({column} AS {kind}) AS {column}" for column, kind in types.items())
    # one statement for all batches: a statement each would write every batch to the log and again to the file
    con.register("rows_to_write", pa.RecordBatchReader.from_batches(schema, _batches(schema, rows)))
    try:
        con.execute(f"{start} SELECT {columns} FROM rows_to_write")
    finally:
        con.unregister("rows_to_write")


def _batches(schema: pa.Schema, rows: Iterable[Mapping[str, Any]]) -> Iterator[pa.RecordBatch]:
    """The rows as columns, some thousands at a time."""
    ahead = iter(rows)
    while batch := list(islice(ahead, BATCH)):
        arrays = [pa.array([row[field.name] for row in batch], type=field.type) for field in schema]
        yield pa.RecordBatch.from_arrays(arrays, schema=schema)
