"""Extraction killed again and again, and what `appgov build` then makes of it, against one that was left in peace."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any

import duckdb

from appgov_lib.extract.snapshot import read_snapshots
from appgov_lib.settings import Settings
from appgov_lib.store.warehouse import current_path

RUN = Path(__file__).resolve().parent / "bench_run.py"
KILLS = 20
PATIENCE = 60.0
"""Seconds to wait for the next file of a run before it is killed where it is."""
NOT_COMPARED = {
    ("coverage", "requests"): "a run that goes on counts its own requests, not those of the killed ones before it",
    ("coverage", "least_requests"): "for the same reason",
}
"""Columns that may differ, and why; every other value of every table has to be the same."""


def raw(home: Path) -> Path:
    """Where the sample tenant's snapshots are."""
    return Settings(home=home).raw_dir


def killed(endpoint: str, folder: Path, since: str, kills: int = KILLS, seed: int = 3) -> list[Path]:
    """Kill extractions at random moments until there were `kills`, then let them end; the homes they wrote.

    A run is killed when it has kept no or one more file, and a moment later; one that got to its end between two
    kills is followed by another.
    """
    done, moments, homes = 0, random.Random(seed), [folder / "1"]  # noqa: S311 - moments of kills
    while done < kills:
        if read_snapshots(raw(homes[-1])):
            homes.append(folder / str(len(homes) + 1))
            continue
        wanted = _files(homes[-1]) + moments.randint(0, 1)
        process = subprocess.Popen(_extraction(endpoint, homes[-1], since))  # noqa: S603
        deadline = time.monotonic() + PATIENCE
        while process.poll() is None and time.monotonic() < deadline and _files(homes[-1]) < wanted:
            time.sleep(0.002)
        time.sleep(moments.random() * 0.1)
        if process.poll() is None:
            process.kill()
            done += 1
        process.wait()
    for home in homes:
        if not read_snapshots(raw(home)):
            undisturbed(endpoint, home, since)
    return homes


def undisturbed(endpoint: str, home: Path, since: str) -> None:
    """An extraction that nobody kills, to its end."""
    subprocess.run(_extraction(endpoint, home, since), check=True)  # noqa: S603


def built(home: Path) -> Path:
    """The warehouse that `appgov build` makes of what is in `home`."""
    command = [sys.executable, "-m", "appgov_lib", "build", "--quiet"]
    env = {**os.environ, "APPGOV_HOME": str(home)}
    subprocess.run(command, check=True, env=env, stdout=subprocess.DEVNULL)  # noqa: S603
    return current_path(Settings(home=home))


def differences(one: Path, other: Path) -> tuple[int, int, list[str]]:
    """(tables, rows, a sentence for each table that is not the same in both warehouses, row for row, in order)."""
    found: list[str] = []
    rows = 0
    with duckdb.connect(str(one), read_only=True) as here, duckdb.connect(str(other), read_only=True) as there:
        tables, others = _tables(here), _tables(there)
        if tables != others:
            found.append(f"the tables or their columns differ: {sorted(tables.keys() ^ others.keys())}")
        for table in sorted(tables.keys() & others.keys()):
            chosen = ", ".join(f'"{name}"' for name in tables[table] if (table, name) not in NOT_COMPARED)
            query = f'SELECT {chosen} FROM "{table}"'
            for number, (left, right) in enumerate(zip_longest(_rows(here, query), _rows(there, query)), 1):
                rows += 1
                if left != right:
                    found.append(f"{table}, row {number}: {left!s:.200} is {right!s:.200}")
                    break
    return len(tables), rows, found


def _tables(con: duckdb.DuckDBPyConnection) -> dict[str, list[str]]:
    """The columns of each table."""
    found: dict[str, list[str]] = {}
    query = "SELECT table_name, column_name FROM duckdb_columns() WHERE NOT internal ORDER BY table_name, column_index"
    for table, column in con.execute(query).fetchall():
        found.setdefault(table, []).append(column)
    return found


def _rows(con: duckdb.DuckDBPyConnection, query: str) -> Iterator[str]:
    """The rows of a query as text, in which two missing numbers are the same."""
    answer: Any = con.execute(query)
    while batch := answer.fetchmany(5_000):
        yield from map(repr, batch)


def _files(home: Path) -> int:
    """Data files that a run has kept so far."""
    return len(list(raw(home).rglob("*.zst")))


def _extraction(endpoint: str, home: Path, since: str) -> list[str]:
    """The command that extracts every default source into `home`."""
    return [sys.executable, str(RUN), endpoint, str(home), since]
