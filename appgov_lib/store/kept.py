"""What stays of raw files that were pruned: a ledger of what is gone, sums of its days, and what was seen in it.

The manifest of a pruned snapshot stays where it is, so an import is still known, and coverage can still be told. The
ledger names the files that are gone; `daily/` holds sums of logs and last uses, `history/` holds what the old
readings of the directory saw.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time
from pathlib import Path

import duckdb

from appgov_lib.errors import ConfigError
from appgov_lib.extract.snapshot import Snapshot
from appgov_lib.settings import Settings, private_write
from appgov_lib.store.inputs import SIGN_IN_TYPES, Coverage, moment
from appgov_lib.store.models import insert_rows

LEDGER = "retention.json"
FAMILIES = {
    "sign_ins": ("sign_ins_graph", "sign_ins_diagnostic", "sign_ins_log_analytics", "sign_ins_unified_audit"),
    "api_activity": (
        "api_activity_diagnostic",
        "api_activity_log_analytics",
        "api_activity_hunting",
        "call_sums_hunting",
    ),
}
"""Logs of which daily sums are kept, with their buckets; the rows of other logs are never dropped."""
SOURCES = {
    "sign_ins": tuple(f"sign_ins_{kind}" for kind in SIGN_IN_TYPES),
    "api_activity": ("api_activity", "api_activity_sums"),
}
"""The catalogue sources of those logs."""
DAILY = ("sign_ins_daily", "app_activity_daily", "app_resource_daily", "last_uses")
"""Files in `daily/`; each is read into the table `kept_<name>`."""
SUMS = (
    ("sign_ins_daily", "sign_ins"),
    ("app_activity_daily", "api_activity"),
    ("app_resource_daily", "api_activity"),
)
"""Of them the sums by day, each with the log it is of."""
HISTORY = ("grants_seen", "credentials_seen", "members_seen", "apps_seen", "settings_seen")
"""Files in `history/`; each is read into the table `kept_<name>`."""
ADDED_LATER = ("apps_seen", "settings_seen", "app_resource_daily")
"""Those that a home pruned by an earlier version lacks: its history of them starts later."""


@dataclass(frozen=True)
class Ledger:
    """What pruning has removed from a tenant's raw data."""

    dropped: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Paths of data files that are gone, inside their snapshot folder, by snapshot id."""
    raw_from: Mapping[str, date] = field(default_factory=dict)
    """By log family: from this day on all raw rows are there; before it the kept sums count."""

    def remaining(self, snapshots: Iterable[Snapshot]) -> list[Snapshot]:
        """The snapshots without the files that are gone; how their sources ended stays as it was."""
        return [
            replace(
                snapshot,
                buckets={
                    bucket: tuple(file for file in files if file.path not in self.dropped[snapshot.snapshot_id])
                    for bucket, files in snapshot.buckets.items()
                },
            )
            if snapshot.snapshot_id in self.dropped
            else snapshot
            for snapshot in snapshots
        ]

    def covered(self, row: Coverage) -> Coverage:
        """A coverage row that begins where the raw rows of its log begin."""
        starts = [day for family, day in self.raw_from.items() if row.source in (*FAMILIES[family], *SOURCES[family])]
        start = datetime.combine(starts[0], time()) if starts else None
        if start is None or row.from_at is None or row.from_at >= start:
            return row
        return replace(row, from_at=min(start, row.to_at or start))


def read_ledger(settings: Settings) -> Ledger:
    """The tenant's ledger, an empty one where nothing was ever pruned; raises `ConfigError` when it is damaged."""
    path = settings.data_dir / LEDGER
    try:
        raw = json.loads(path.read_bytes())
        return Ledger(
            dropped={name: frozenset(paths) for name, paths in raw["dropped"].items()},
            raw_from={family: date.fromisoformat(day) for family, day in raw["raw_from"].items()},
        )
    except FileNotFoundError:
        return Ledger()
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"{path}, which lists the raw files that were pruned, cannot be read ({type(error).__name__}); "
            "put it back from a backup."
        ) from error


def write_ledger(settings: Settings, ledger: Ledger) -> None:
    """Replace the tenant's ledger in one step."""
    content = {
        "dropped": {name: sorted(paths) for name, paths in sorted(ledger.dropped.items())},
        "raw_from": {family: day.isoformat() for family, day in sorted(ledger.raw_from.items())},
    }
    private_write(settings.data_dir / LEDGER, json.dumps(content, indent=1, sort_keys=True).encode() + b"\n")


def folders(settings: Settings) -> tuple[Path, Path]:
    """Where sums and sightings are kept: (`daily/`, `history/`)."""
    return settings.data_dir / "daily", settings.data_dir / "history"


def fill(con: duckdb.DuckDBPyConnection, settings: Settings, snapshots: Iterable[Snapshot], ledger: Ledger) -> None:
    """Fill the tables of `before.sql`: the snapshots, and what was kept of pruned ones.

    Raises `ConfigError` when a kept file that the ledger counts on is missing or damaged.
    """
    known = list(snapshots)
    times = [(s.snapshot_id, s.kind, moment(s.started_at), moment(s.finished_at)) for s in known]
    insert_rows(con, "snapshots", times)
    sources = [(s.snapshot_id, name, state.status) for s in known for name, state in s.sources.items()]
    insert_rows(con, "snapshot_sources", sources)
    insert_rows(con, "kept_until", sorted(ledger.raw_from.items()))
    if ledger.dropped:
        daily, history = folders(settings)
        for name in DAILY:
            if name in ADDED_LATER and not (daily / f"{name}.parquet").exists():
                continue
            _load(con, f"kept_{name}", daily / f"{name}.parquet")
        for name in HISTORY:
            if name in ADDED_LATER and not (history / f"{name}.parquet").exists():
                continue
            _load(con, f"kept_{name}", history / f"{name}.parquet")
    for name, family in SUMS:
        # a prune that was cut short wrote sums of days whose rows are all still there
        con.execute(
            f"DELETE FROM kept_{name} WHERE day >= coalesce("
            "(SELECT max(raw_from) FROM kept_until WHERE family = ?), DATE '0001-01-01')",
            [family],
        )


def _load(con: duckdb.DuckDBPyConnection, table: str, path: Path) -> None:
    """Read one kept file into its table."""
    try:
        con.execute(f"INSERT INTO {table} BY NAME SELECT * FROM read_parquet(?)", [str(path)])
    except duckdb.Error as error:
        raise ConfigError(
            f"{path} holds what was kept of pruned raw files and cannot be read ({type(error).__name__}); "
            "put it back from a backup."
        ) from error
