"""Payloads of the catalogue's sources: what the service sends, and the rows that must come of it.

`tests/fixtures/graph/<source>.json` holds `value` (records, written for these tests in the service's shape), `rows`
(what the table that reads the source's bucket must hold) and, where that table reads other buckets too, `beside`.
"""

from __future__ import annotations

import json
from datetime import date, datetime
from functools import cache
from pathlib import Path
from typing import Any

from conftest import Bench

from appgov_lib.extract.sources import load_sources
from appgov_lib.store.models import load_models

FOLDER = Path(__file__).parent.parent / "fixtures" / "graph"
NEEDED = {"stg_app_role_assignments": ["stg_service_principals", "permission_definitions"]}
"""Tables made before the one that is tried, from the same records."""
CHAINS = {"api_sums": ["api_requests", "api_paths", "stg_api_activity_sums"]}
"""Tables made after the one that reads a bucket; the last of them is the one that stays."""


def readers(source: str) -> list[str]:
    """Names of the tables that read the bucket of a source."""
    bucket = f"read_json(${load_sources()[source].bucket},"
    objects = f"read_ndjson_objects(${load_sources()[source].bucket},"
    return [name for name, text in _texts().items() if bucket in text or objects in text]


@cache
def _texts() -> dict[str, str]:
    """The SQL of every model by name, read once."""
    return {model.name: model.path.read_text(encoding="utf-8") for model in load_models()}


def made(bench: Bench, table: str) -> list[dict[str, Any]]:
    """Run a table that reads a bucket, with what it needs before and what is made of it; the rows that stay."""
    shapes = [name for name in bench.models if name.startswith("api_activity_from_")] if table in CHAINS else []
    bench.empty(*shapes)
    for name in [*NEEDED.get(table, []), table, *CHAINS.get(table, [])]:
        rows = bench.run(name)
    return rows


def kept(table: str) -> str:
    """The table that stays of one that reads a bucket."""
    return CHAINS.get(table, [table])[-1]


def plain(value: object, kind: str) -> Any:
    """A value of a table as JSON has it: times as ISO text, JSON columns as what they hold."""
    if kind == "JSON":
        return None if value is None else json.loads(str(value))
    return value.isoformat() if isinstance(value, date | datetime) else value


def typed_rows(bench: Bench, source: str, payload: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows of the table that reads a source, made from its payload."""
    table = readers(source)[0]
    bench.raw(load_sources()[source].bucket, payload["value"])
    for other, records in payload.get("beside", {}).items():
        bench.raw(load_sources()[other].bucket, records)
    rows = made(bench, table)
    kinds = {row["column_name"]: row["column_type"] for row in bench.rows(f"DESCRIBE {kept(table)}")}
    return [{column: plain(value, kinds[column]) for column, value in row.items()} for row in rows]
