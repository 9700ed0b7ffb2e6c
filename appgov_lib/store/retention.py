"""Pruning: old raw rows go, what was counted and seen in them stays.

Raw rows of sign-ins and API calls go when their whole file is older than the retention; sums of their days and the
last uses are kept. Old readings of the directory go beyond the newest few; when each app, setting, grant, credential,
owner and role was seen is kept. Audit events, alerts and Office activity have no sums and so are never dropped, nor is
the reading that the warehouse uses, nor anything of an unfinished snapshot.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path

import duckdb

from appgov_lib.errors import ConfigError
from appgov_lib.extract.snapshot import RawFile, Snapshot, read_snapshots
from appgov_lib.extract.sources import Source, load_sources
from appgov_lib.profiles import Profile
from appgov_lib.settings import Settings, private_dir
from appgov_lib.store.checks import missing_files
from appgov_lib.store.inputs import best_snapshot, choose_files, moment
from appgov_lib.store.kept import (
    DAILY,
    FAMILIES,
    HISTORY,
    SUMS,
    Ledger,
    fill,
    folders,
    read_ledger,
    write_ledger,
)
from appgov_lib.store.models import insert_rows, needed_models, prepare, run_model

VARIABLE = "APPGOV_RETENTION_DAYS"
LEAST_DAYS = 35
"""What permissions and apps are used for is judged over the raw rows of 30 days; a shorter retention would cut them."""
STATES_KEPT = 8
"""Newest complete readings of every part of the directory that stay whatever their age."""
END = date(9999, 12, 30)
"""An as-of date that leaves nothing out."""
SEEN = """
    SELECT s.* EXCLUDE (readings, reading), list(r.snapshot_id ORDER BY r.reading) AS snapshots
    FROM (SELECT *, unnest(readings) AS reading FROM {table}) AS s
    INNER JOIN source_readings AS r ON r.source = s.source AND r.reading = s.reading
    INNER JOIN gone AS g ON g.source = r.source AND g.snapshot_id = r.snapshot_id
    GROUP BY ALL
    ORDER BY ALL
"""
"""What was seen in readings that go."""
LAST_USES = """
    WITH uses AS (
        SELECT 'sign_in' AS kind, coalesce(i.app_id, s.app_id) AS app_id, NULL AS key_id, i.created_at AS used_at
        FROM stg_sign_ins AS i
        LEFT JOIN stg_service_principals AS s ON s.service_principal_id = i.service_principal_id
        UNION ALL
        SELECT 'credential', app_id, credential_key_id, created_at
        FROM stg_sign_ins
        WHERE credential_key_id IS NOT NULL AND error_code = 0
        UNION ALL
        SELECT 'call', app_id, NULL, last_called_at FROM api_calls_daily
    )
    SELECT kind, app_id, key_id, max(used_at) AS last_at
    FROM (
        SELECT u.*
        FROM uses AS u
        INNER JOIN raw_until AS b
            ON b.family = CASE u.kind WHEN 'call' THEN 'api_activity' ELSE 'sign_ins' END AND u.used_at < b.raw_from
        UNION ALL
        SELECT kind, app_id, key_id, last_at FROM kept_last_uses
    )
    WHERE app_id IS NOT NULL
    GROUP BY ALL
    ORDER BY ALL
"""
"""The last time before the raw rows begin that an app signed in, called, or used a credential."""


@dataclass(frozen=True)
class Drop:
    """The files of one bucket of one snapshot, to be removed."""

    snapshot_id: str
    files: tuple[RawFile, ...]
    family: str = ""
    """For a log: key of `FAMILIES`."""
    last_day: date = date.min
    """For a log: the last day that may have rows in the files."""


@dataclass(frozen=True)
class Pruned:
    """What a prune removed, or would remove."""

    files: int
    bytes: int
    """Size on disk."""
    snapshots: tuple[str, ...]
    """Ids of the snapshots that lost files."""
    raw_from: Mapping[str, date]
    """First day of which raw rows remain, by log family that was ever pruned."""


def configured_days(env: Mapping[str, str] | None = None, profile: Profile | None = None) -> int | None:
    """The retention: the tenant's own, else `APPGOV_RETENTION_DAYS`, else that of all profiles; None keeps all.

    Raises `ConfigError` for what is no number of days.
    """
    profile = profile or Profile()
    if "retention_days" in profile.said:
        return profile.retention_days
    text = (os.environ if env is None else env).get(VARIABLE, "").strip()
    if not text:
        return profile.retention_days
    if not text.isascii() or not text.isdigit():
        raise ConfigError(f"{VARIABLE} is {text!r}, which is not a number of days; write e.g. 180, or nothing.")
    return _long_enough(int(text))


def _long_enough(days: int) -> int:
    """The same number; raises `ConfigError` under `LEAST_DAYS`."""
    if days < LEAST_DAYS:
        raise ConfigError(
            f"A retention of {days} days is too short: the last 30 days decide which permissions are used; "
            f"keep at least {LEAST_DAYS} days."
        )
    return days


def prune(settings: Settings, keep_raw_days: int, now: datetime, dry_run: bool = False) -> Pruned:
    """Remove raw files older than `keep_raw_days` before `now` (UTC), keeping sums and sightings; return what went.

    A run that was cut short loses nothing and is completed by the next. Raises `ConfigError` for a retention under
    `LEAST_DAYS` and when raw files are missing or damaged.
    """
    _long_enough(keep_raw_days)
    before = read_ledger(settings)
    snapshots = read_snapshots(settings.raw_dir)
    cutoff = datetime.combine(now.date() - timedelta(days=keep_raw_days), time())
    sources = load_sources()
    present = before.remaining(snapshots)
    drops = [*_old_logs(present, sources, cutoff), *_old_states(present, sources, cutoff)]
    after = _after(before, drops)
    paths = [
        snapshot.folder / path for snapshot in snapshots for path in sorted(after.dropped.get(snapshot.snapshot_id, ()))
    ]
    sizes = [path.stat().st_size for path in paths if path.is_file()]
    names = tuple(sorted({drop.snapshot_id for drop in drops}))
    result = Pruned(files=len(sizes), bytes=sum(sizes), snapshots=names, raw_from=after.raw_from)
    if dry_run:
        return result
    if drops:
        _keep(settings, snapshots, before, after)
        # from here on nobody counts on the files; before it, nobody counts on the sums
        write_ledger(settings, after)
    # those of earlier runs too: one may have been killed right here
    for path in paths:
        path.unlink(missing_ok=True)
    return result


def prune_as_set(settings: Settings, now: datetime) -> Pruned | None:
    """Prune by the retention that is set; None where there is none and everything stays."""
    days = configured_days(profile=settings.profile)
    return None if days is None else prune(settings, days, now)


def _old_logs(snapshots: Iterable[Snapshot], sources: Mapping[str, Source], cutoff: datetime) -> Iterator[Drop]:
    """Log files whose whole span lies before `cutoff`; without a known end they stay."""
    for snapshot in snapshots:
        for family, buckets in FAMILIES.items():
            for bucket in buckets:
                end = _end(snapshot, bucket, sources)
                if snapshot.buckets.get(bucket) and end is not None and end <= cutoff:
                    yield Drop(snapshot.snapshot_id, snapshot.buckets[bucket], family, end.date())


def _end(snapshot: Snapshot, bucket: str, sources: Mapping[str, Source]) -> datetime | None:
    """Latest time a record of the bucket can have: the end asked for, or the last record of an import."""
    ends = [
        moment(state.to_at)
        for name, state in snapshot.sources.items()
        if state.rows and (name == bucket or (name in sources and sources[name].bucket == bucket))
    ]
    known = [end for end in ends if end is not None]
    return max(known) if known and len(known) == len(ends) else None


def _old_states(snapshots: list[Snapshot], sources: Mapping[str, Source], cutoff: datetime) -> Iterator[Drop]:
    """Directory readings begun before `cutoff`, but the newest complete ones and the one the warehouse uses stay."""
    for source in (source for source in sources.values() if source.kind == "state"):
        complete = [s for s in snapshots if source.name in s.sources and s.sources[source.name].status == "complete"]
        used = best_snapshot(snapshots, source.name)
        stay = {snapshot.snapshot_id for snapshot in [*complete[-STATES_KEPT:], *([used] if used else [])]}
        for snapshot in snapshots:
            began, files = moment(snapshot.started_at), snapshot.buckets.get(source.bucket)
            if files and snapshot.snapshot_id not in stay and began is not None and began < cutoff:
                yield Drop(snapshot.snapshot_id, files)


def _after(before: Ledger, drops: Iterable[Drop]) -> Ledger:
    """The ledger once the files are gone; the raw rows of a log begin on the day after the last one that lost any."""
    dropped = {name: set(paths) for name, paths in before.dropped.items()}
    raw_from = dict(before.raw_from)
    for drop in drops:
        dropped.setdefault(drop.snapshot_id, set()).update(file.path for file in drop.files)
        if drop.family:
            start = drop.last_day + timedelta(days=1)
            raw_from[drop.family] = max(raw_from.get(drop.family, start), start)
    return Ledger(dropped={name: frozenset(paths) for name, paths in sorted(dropped.items())}, raw_from=raw_from)


def _keep(settings: Settings, snapshots: list[Snapshot], before: Ledger, after: Ledger) -> None:
    """Write sums, last uses and sightings of everything that `after` no longer has; all rows are still there."""
    sources = load_sources()
    files = choose_files(before.remaining(snapshots), sources)
    gone = missing_files(files)
    if gone:
        raise ConfigError(f"The raw file {gone[0]} is missing, so nothing was pruned; move its snapshot folder away.")
    daily, history = (private_dir(folder) for folder in folders(settings))
    states = {source.bucket: source.name for source in sources.values() if source.kind == "state"}
    pairs = {(states.get(path.split("/")[0], ""), name) for name, paths in after.dropped.items() for path in paths}
    with duckdb.connect(":memory:", config={"temp_directory": str(daily / ".spill")}) as con:
        con.execute("SET TimeZone = 'UTC'")
        prepare(con)
        con.execute("CREATE TEMP TABLE gone (source VARCHAR, snapshot_id VARCHAR)")
        con.execute("CREATE TEMP TABLE raw_until (family VARCHAR, raw_from DATE)")
        insert_rows(con, "gone", sorted(pairs))
        insert_rows(con, "raw_until", sorted(after.raw_from.items()))
        fill(con, settings, snapshots, before)
        for model in needed_models(
            [*(name for name in DAILY if name != "last_uses"), *(f"{n}_history" for n in HISTORY)]
        ):
            try:
                run_model(con, model, files, END, 7)
            except (duckdb.IOException, duckdb.InvalidInputException) as error:
                raise ConfigError(
                    f"The raw files behind the table {model.name} cannot be read ({type(error).__name__}), so nothing "
                    "was pruned; move the damaged snapshot folder away."
                ) from error
        for name, family in SUMS:
            days = f"day < (SELECT max(raw_from) FROM raw_until WHERE family = '{family}')"
            _save(con, f"SELECT * FROM {name} WHERE {days} ORDER BY ALL", daily / f"{name}.parquet")
        _save(con, LAST_USES, daily / "last_uses.parquet")
        for name in HISTORY:
            _save(con, SEEN.format(table=f"{name}_history"), history / f"{name}.parquet")


def _save(con: duckdb.DuckDBPyConnection, sql: str, path: Path) -> None:
    """Write the rows of a query to a file in one step, readable by this user alone."""
    temporary = path.with_name(f".{path.name}.part")
    temporary.unlink(missing_ok=True)
    temporary.touch(mode=0o600)
    quoted = str(temporary).replace("'", "''")
    con.execute(f"COPY ({sql}) TO '{quoted}' (FORMAT parquet, COMPRESSION zstd, USE_TMP_FILE false)")
    with temporary.open("rb+") as handle:
        os.fsync(handle.fileno())
    temporary.replace(path)
