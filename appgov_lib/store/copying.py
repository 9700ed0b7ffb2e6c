"""A second warehouse file beside the real one, for readers who may not see all of it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import duckdb

from appgov_lib.settings import Settings, private_dir, private_write
from appgov_lib.store.warehouse import MEMORY, POINTER, current_path

REAL = "real"
"""Name of the real warehouse, which can only be read."""


@contextlib.contextmanager
def copying(settings: Settings, home: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection to an empty new warehouse, with the current one attached as `real`.

    At the end of the block the new file is the current warehouse of the same tenant in the folder `home`.
    """
    source = current_path(settings)
    folder = private_dir(home / "data" / settings.tenant / "warehouse")
    target = folder / source.name
    con = duckdb.connect(":memory:", config={"memory_limit": MEMORY, "temp_directory": f"{target}.tmp"})
    try:
        con.execute("SET autoinstall_known_extensions = false")
        con.execute("SET autoload_known_extensions = false")
        con.execute(f"ATTACH {_quoted(source)} AS {REAL} (READ_ONLY)")
        con.execute(f"ATTACH {_quoted(target)} AS warehouse")
        target.chmod(0o600)
        con.execute("USE warehouse")
        con.execute("SET TimeZone = 'UTC'")
        yield con
        con.execute("CHECKPOINT warehouse")
    finally:
        con.close()
    private_write(folder / POINTER, json.dumps({"file": target.name, "build_id": target.stem}).encode())


def columns_of(con: duckdb.DuckDBPyConnection) -> dict[str, list[tuple[str, str]]]:
    """Name and type of the columns of every table of the real warehouse."""
    rows = con.execute(
        "SELECT c.table_name, c.column_name, c.data_type FROM duckdb_columns() AS c "
        "INNER JOIN duckdb_tables() AS t USING (database_name, schema_name, table_name) "
        f"WHERE c.database_name = '{REAL}' AND c.schema_name = 'main' ORDER BY c.table_name, c.column_index"
    ).fetchall()
    found: dict[str, list[tuple[str, str]]] = {}
    for table, column, kind in rows:
        found.setdefault(table, []).append((column, kind))
    return found


def _quoted(path: Path) -> str:
    """A path as a SQL text."""
    return "'" + str(path).replace("'", "''") + "'"
