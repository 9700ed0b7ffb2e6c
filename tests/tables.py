"""Text tables in tests: rows a reader can check by eye, loaded into DuckDB with the types the header names."""

from __future__ import annotations

import duckdb


def load_table(con: duckdb.DuckDBPyConnection, name: str, text: str) -> None:
    """Create table `name` from `text`.

    First line `column TYPE | column TYPE ...` (VARCHAR where no type is given), then one row a line. A cell `-`
    is NULL, an empty cell is the empty string; every other cell is cast to the column's type, so lists are
    written `[a, b]`, JSON as JSON. An empty body makes an empty table.
    """
    lines = [line.strip() for line in text.strip().splitlines() if line.strip() and set(line.strip()) - set("-|+ ")]
    header = [cell.strip().split(None, 1) for cell in lines[0].split("|")]
    columns = [(cell[0], cell[1] if len(cell) > 1 else "VARCHAR") for cell in header]
    con.execute(f"CREATE OR REPLACE TABLE {name} ({', '.join(f'{c} {t}' for c, t in columns)})")
    for line in lines[1:]:
        cells = [None if cell.strip() == "-" else cell.strip() for cell in line.split("|")]
        if len(cells) != len(columns):
            raise ValueError(f"{name}: {len(cells)} cells for {len(columns)} columns in: {line}")
        casts = ", ".join(f"CAST(? AS {t})" for _, t in columns)
        con.execute(f"INSERT INTO {name} VALUES ({casts})", cells)
