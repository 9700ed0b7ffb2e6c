"""Chains: related findings of one app, or of one actor across apps, as one timeline with its story in words."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import duckdb

from appgov_lib.store.models import MODELS_DIR

CHAIN_DAYS = 30
"""How far back the first finding of a chain may lie: what the service's own logs hold."""
TOLD = 12
"""Steps in a story; the table of steps has them all."""
CHAIN_TABLES = {
    "chain_steps": (
        "step of a chain: a finding, a change, the sign-ins, the data moved, an anomaly",
        ["chain_id", "about", "place", "service_principal_id", "app_id", "display_name", "first_at", "last_at", "kind",
         "who", "finding_id", "severity", "title", "words"],
    ),
    "chains": (
        "chain of related findings, of an app or of an actor across apps",
        ["chain_id", "about", "service_principal_id", "app_id", "name", "severity", "findings", "apps", "actors",
         "begins_at", "ends_at", "steps", "story", "finding_ids"],
    ),
}  # fmt: skip
"""Grain and columns of the two tables, for the reference pages."""


def write_chains(con: duckdb.DuckDBPyConnection, as_of: dt.date) -> None:
    """Create `chain_steps` and `chains` from `findings` and what the logs tell around them."""
    con.execute((MODELS_DIR / "macros.sql").read_text(encoding="utf-8"))
    for name, kind in (("chain_findings", "TEMP TABLE"), ("chain_steps", "TABLE"), ("chains", "TABLE")):
        query = Path(__file__).with_name(f"{name}.sql").read_text(encoding="utf-8")
        values = {"as_of": as_of, "chain_days": CHAIN_DAYS, "told": TOLD}
        used = {key: value for key, value in values.items() if f"${key}" in query}
        con.execute(f"CREATE OR REPLACE {kind} {name} AS {query}", used)
    con.execute("DROP TABLE chain_findings")
