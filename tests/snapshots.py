"""Hand-made snapshots for tests: a few records per source, written as the extraction writes them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Any

import duckdb

from appgov_lib.extract.snapshot import Snapshot, SnapshotWriter, SourceState, iso, read_snapshots
from appgov_lib.extract.sources import load_sources
from appgov_lib.settings import Settings
from appgov_lib.store.inputs import choose_files
from appgov_lib.store.kept import fill, read_ledger
from appgov_lib.store.models import needed_models, prepare, run_model

Records = Iterable[Mapping[str, Any]]


def take(
    settings: Settings,
    at: datetime,
    states: Mapping[str, Records] | None = None,
    logs: Mapping[str, tuple[datetime, datetime, Records]] | None = None,
    ends: Mapping[str, str] | None = None,
) -> Snapshot:
    """Write one finished extraction begun at `at`.

    `states` has the records of directory sources, `logs` (from, to, records) of log sources; every source ends as
    complete unless `ends` says otherwise.
    """
    writer = SnapshotWriter(settings.raw_dir, f"extract-{at:%Y%m%dT%H%M%SZ}", "extract", at)
    sources = load_sources()
    for name, records in (states or {}).items():
        rows = write(writer, sources[name].bucket if name in sources else name, name, records)
        writer.close_source(name, SourceState((ends or {}).get(name, "complete"), rows=rows))
    for name, (start, end, records) in (logs or {}).items():
        rows = write(writer, sources[name].bucket, name, records)
        status = (ends or {}).get(name, "complete")
        writer.close_source(name, SourceState(status, rows=rows, from_at=iso(start), to_at=iso(end)))
    return writer.finish(at)


def write(writer: SnapshotWriter, bucket: str, name: str, records: Records) -> int:
    """Write the records of one source into its bucket; returns how many there are."""
    lines = [json.dumps(record).encode() for record in records]
    return writer.write(bucket, lines, "http://127.0.0.1/", name=f"{name}-all-00001")


def tables(settings: Settings, *names: str, as_of: date = date(2026, 11, 15)) -> duckdb.DuckDBPyConnection:
    """An in-memory warehouse with the named tables and what they are made from."""
    con = duckdb.connect()
    con.execute("SET TimeZone = 'UTC'")
    prepare(con)
    ledger, snapshots = read_ledger(settings), read_snapshots(settings.raw_dir)
    fill(con, settings, snapshots, ledger)
    files = choose_files(ledger.remaining(snapshots), load_sources())
    for model in needed_models(names):
        run_model(con, model, files, as_of, 7)
    return con


def rows(con: duckdb.DuckDBPyConnection, sql: str) -> list[dict[str, Any]]:
    """Rows of a query as dicts."""
    cursor = con.execute(sql)
    columns = [column[0] for column in cursor.description or []]
    return [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]
