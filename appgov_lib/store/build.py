"""Snapshots to warehouse: runs the models, checks them, then lets detection and the action plan add their tables.

The same snapshots, as-of date and period give tables with the same rows in the same order.
"""

from __future__ import annotations

import contextlib
import gc
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass
from datetime import date
from pathlib import Path

import duckdb
import pyarrow as pa

from appgov_lib import __version__
from appgov_lib.errors import ConfigError, DiskFull, is_disk_full
from appgov_lib.extract.snapshot import Snapshot, read_snapshots
from appgov_lib.extract.sources import load_sources
from appgov_lib.settings import Settings
from appgov_lib.store.checks import (
    CheckResult,
    check_table,
    damaged_files,
    failures,
    files_of,
    missing_files,
    reconcile,
    write_results,
)
from appgov_lib.store.inputs import (
    ImportSpan,
    choose_files,
    coverage_rows,
    covered_days,
    group_imports,
    import_spans,
)
from appgov_lib.store.kept import Ledger, fill, folders, read_ledger
from appgov_lib.store.models import (
    PACKAGE,
    Model,
    add_macros,
    insert_rows,
    load_models,
    prepare,
    reference_tables,
    run_model,
)
from appgov_lib.store.side_by_side import reads, side_by_side
from appgov_lib.store.warehouse import MEMORY, MORE_MEMORY, SHARED_STEP, Build

Progress = Callable[[str], None]


@dataclass(frozen=True)
class BuildResult:
    """What a build made."""

    path: Path
    """The published warehouse file."""
    build_id: str
    as_of: date
    days: int
    tables: Mapping[str, int]
    """Rows of every table kept, by name."""
    warnings: tuple[str, ...]
    """One sentence for each `warn` check that did not hold."""


def build(settings: Settings, as_of: date, days: int = 7, progress: Progress | None = None) -> BuildResult:
    """Build the warehouse of one tenant and publish it.

    `as_of` is the last day covered, `days` the length of the period reported. `progress` is called with the name of
    each table as it is begun. Raises `ConfigError` when there is nothing to build from, a raw file is missing or
    damaged, or a check fails; the earlier warehouse stays current then.
    """
    tell = progress or (lambda _: None)
    try:
        return _build(settings, as_of, days, tell, MEMORY)
    except duckdb.OutOfMemoryException:
        # the steps that cannot spill needed more than the usual
        return _build(settings, as_of, days, tell, MORE_MEMORY)


def _build(settings: Settings, as_of: date, days: int, tell: Progress, memory: str) -> BuildResult:
    """Build and publish within so much memory."""
    snapshots = read_snapshots(settings.raw_dir)
    if not snapshots:
        raise ConfigError(
            f"There is no data for the tenant {settings.tenant!r} in {settings.raw_dir}; "
            "run `appgov extract` or `appgov import` first."
        )
    ledger = read_ledger(settings)
    files = choose_files(ledger.remaining(snapshots), load_sources())
    gone = missing_files(files)
    if gone:
        raise ConfigError(
            f"The raw file {gone[0]} is missing; move its snapshot folder away and extract or import again."
        )
    bad = damaged_files(files, snapshots)
    if bad:
        raise ConfigError(
            f"The raw file {bad[0]} is damaged{f' and {len(bad) - 1} more are' if bad[1:] else ''}: its content is not "
            "what its manifest has the hash of; move its snapshot folder away and extract or import again."
        )
    own = own_tables(settings)
    build_id = make_build_id(as_of, days, snapshots, ledger, own)
    models = load_models()
    with Build(settings, build_id, readable=readable_folders(settings), memory=memory) as target:
        con = target.con
        hands = (target.con, target.beside)
        standing = make_models(hands, settings, snapshots, ledger, models, as_of, days, tell)
        tell("check_results")
        results = _check(con, standing, snapshots, files)
        _write_run_info(con, settings, build_id, as_of, days, snapshots, own)
        target.seal()
        con = target.con
        _judge(con, settings, as_of, days, tell)
        _describe(con, models)
        tables = _row_counts(con)
        con.execute("CHECKPOINT")
    return BuildResult(
        path=target.publication.path,
        build_id=build_id,
        as_of=as_of,
        days=days,
        tables=tables,
        warnings=tuple(_sentence(result) for result in results if not result.passed),
    )


def readable_folders(settings: Settings) -> tuple[Path, ...]:
    """The folders a build reads from."""
    return (settings.raw_dir, settings.reference_dir, PACKAGE, *folders(settings))


def make_models(
    hands: Sequence[duckdb.DuckDBPyConnection],
    settings: Settings,
    snapshots: list[Snapshot],
    ledger: Ledger,
    models: Iterable[Model],
    as_of: date,
    days: int,
    tell: Progress,
    after_staging: Callable[[duckdb.DuckDBPyConnection], None] | None = None,
) -> list[CheckResult]:
    """Make the tables of `models` in the empty database of a `Scratch`, and the tables about the data's coverage.

    `hands` are its connections. A step on the way is dropped once nothing reads it any more. `after_staging` may
    change the staging tables before the marts are made from them. Returns how each table stands against its checks.
    """
    models = list(models)
    files = choose_files(ledger.remaining(snapshots), load_sources())
    con = hands[0]
    prepare(con, settings.reference_dir, SHARED_STEP)
    for other in hands[1:]:
        add_macros(other)
    fill(con, settings, snapshots, ledger)
    results: dict[str, list[CheckResult]] = {}

    def work(con: duckdb.DuckDBPyConnection, model: Model) -> None:
        """Make and check one table."""
        tell(model.name)
        _run(con, model, files, as_of, days)
        results[model.name] = check_table(con, model)

    read = reads(models)
    waiting = {
        model.name: {model.name, *(name for name, tables in read.items() if model.name in tables)}
        for model in models
        if model.temp
    }

    def let_go(con: duckdb.DuckDBPyConnection, *_: Model) -> None:
        """Drop the steps that nothing reads any more: all of them together would not fit into 2 GB."""
        for table in [table for table, readers in waiting.items() if readers <= results.keys()]:
            con.execute(f"DROP TABLE {table}")
            del waiting[table]

    side_by_side(hands, [model for model in models if model.layer == "staging"], work)
    _write_coverage(con, snapshots, ledger)
    if after_staging is not None:
        after_staging(con)
    let_go(con)
    side_by_side(hands, [model for model in models if model.layer == "mart"], work, let_go)
    return [result for model in models for result in results[model.name]]


def own_tables(settings: Settings) -> dict[str, str]:
    """Reference tables of the user's own that a build takes, by name, with the hash of their content."""
    files = [path for path in reference_tables(settings.reference_dir) if path.parent == settings.reference_dir]
    return {path.stem: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def make_build_id(
    as_of: date,
    days: int,
    snapshots: list[Snapshot],
    ledger: Ledger | None = None,
    own: Mapping[str, str] | None = None,
) -> str:
    """Name a build after what goes into it: as-of date and a hash over all else.

    That is the period, the version, the snapshots, the files pruned from them and the user's own reference tables.
    """
    parts = [as_of.isoformat(), str(days), __version__, *(snapshot.snapshot_id for snapshot in snapshots)]
    for name, paths in sorted((ledger.dropped if ledger else {}).items()):
        parts += [f"without {name}/{path}" for path in sorted(paths)]
    parts += [f"with {name} {digest}" for name, digest in sorted((own or {}).items())]
    text = "\n".join(parts)
    return f"{as_of:%Y%m%d}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def _run(con: duckdb.DuckDBPyConnection, model: Model, files: Mapping[str, list[Path]], as_of: date, days: int) -> None:
    """Run one model; a raw file DuckDB cannot read becomes a user error without a word of its content."""
    try:
        run_model(con, model, files, as_of, days, SHARED_STEP)
    except (duckdb.IOException, duckdb.InvalidInputException) as error:
        if is_disk_full(error):
            raise DiskFull from error
        raise ConfigError(
            f"The raw files behind the table {model.name} cannot be read ({type(error).__name__}); move the damaged "
            "snapshot folder away and extract or import again."
        ) from error
    except duckdb.Error as error:
        error.add_note(f"while building the table {model.name}")
        raise


def _write_coverage(con: duckdb.DuckDBPyConnection, snapshots: list[Snapshot], ledger: Ledger) -> None:
    """Create coverage, covered_days and rejected_records from the manifests; coverage is that of raw rows."""

    def types_in(entry: ImportSpan) -> list[str]:
        """Sign-in types that occur in the span of an imported file."""
        start, end = entry.span or (None, None)
        found = con.execute(
            f"SELECT DISTINCT sign_in_type FROM sign_ins_from_{entry.bucket.removeprefix('sign_ins_')} "
            "WHERE created_at BETWEEN $start AND $end "
            "UNION SELECT sign_in_type FROM kept_sign_ins_daily "
            "WHERE day BETWEEN CAST($start AS DATE) AND CAST($end AS DATE) ORDER BY 1",
            {"start": start, "end": end},
        ).fetchall()
        return [row[0] for row in found]

    sources = load_sources()
    imported = group_imports(import_spans(snapshots), types_in)
    con.execute(
        "CREATE OR REPLACE TABLE coverage (source VARCHAR, status VARCHAR, rows BIGINT, from_at TIMESTAMP, "
        "to_at TIMESTAMP, reason VARCHAR, what_is_lost VARCHAR, optional BOOLEAN, requests BIGINT, "
        "least_requests BIGINT)"
    )
    coverage = map(ledger.covered, coverage_rows(snapshots, sources, imported))
    insert_rows(con, "coverage", [astuple(row) for row in coverage])
    con.execute("CREATE OR REPLACE TABLE covered_days (source VARCHAR, day DATE, is_complete BOOLEAN)")
    days = covered_days(snapshots, sources, imported)
    insert_rows(con, "covered_days", days)
    con.execute(
        "CREATE OR REPLACE TABLE rejected_records (file VARCHAR, line BIGINT, reason VARCHAR, snapshot_id VARCHAR)"
    )
    rejected: list[tuple[str, int | None, str, str]] = []
    for snapshot in snapshots:
        rejected += [(r.file, r.line, r.reason, snapshot.snapshot_id) for r in snapshot.rejected]
        rest = snapshot.rejected_rows - len(snapshot.rejected)
        if rest > 0:
            name = str(snapshot.details.get("input", ""))
            rejected.append((name, None, f"{rest} more records were refused and are not listed", snapshot.snapshot_id))
    insert_rows(con, "rejected_records", rejected)


def _check(
    con: duckdb.DuckDBPyConnection,
    tables: list[CheckResult],
    snapshots: list[Snapshot],
    files: Mapping[str, list[Path]],
) -> list[CheckResult]:
    """Write check_results, those of the tables first; stop the build at the first breach that must not be published."""
    counts = {(snapshot.folder / file.path): file.rows for snapshot in snapshots for file in files_of(snapshot)}
    current = {bucket: paths for bucket, paths in files.items() if not bucket.endswith("_history")}
    rows = {bucket: sum(counts[path] for path in paths) for bucket, paths in current.items()}
    results = tables + reconcile(con, rows)
    write_results(con, results)
    broken = failures(results)
    if broken:
        raise ConfigError(
            f"The build was stopped and the earlier warehouse kept: {_sentence(broken[0])}; "
            f"{len(broken)} checks failed. This is a defect or data of a shape not seen before; please report it."
        )
    return results


def _sentence(result: CheckResult) -> str:
    """One check result in words."""
    text = f"table {result.table_name}, check {result.check_name}: {result.breaches} rows break it"
    return f"{text} ({result.detail})" if result.detail else text


def _write_run_info(
    con: duckdb.DuckDBPyConnection,
    settings: Settings,
    build_id: str,
    as_of: date,
    days: int,
    snapshots: list[Snapshot],
    own: Mapping[str, str],
) -> None:
    """Create run_info: what went into this build, as key and value."""
    facts = {
        "appgov_version": __version__,
        "as_of": as_of.isoformat(),
        "build_id": build_id,
        "data_read_at": max(snapshot.finished_at for snapshot in snapshots),
        "days": str(days),
        "duckdb_version": duckdb.__version__,
        "endpoint_permissions": _origin(own.get("endpoint_permissions")),
        "snapshots": json.dumps([snapshot.snapshot_id for snapshot in snapshots]),
        "tenant": settings.tenant,
    }
    con.execute("CREATE OR REPLACE TABLE run_info (key VARCHAR, value VARCHAR)")
    insert_rows(con, "run_info", sorted(facts.items()))


def _origin(digest: str | None) -> str:
    """Which table of endpoint permissions a build used, in words."""
    return "shipped with appgov" if digest is None else f"taken in by appgov permissions refresh, sha256 {digest[:12]}"


def _judge(con: duckdb.DuckDBPyConnection, settings: Settings, as_of: date, days: int, tell: Progress) -> None:
    """Add anomalies, then findings and skipped checks, then chains, then actions; each is its own stage's business."""
    from appgov_lib import actions, detect
    from appgov_lib.detect.chains import write_chains
    from appgov_lib.store.scores import contributors, score

    tell("anomalies")
    score(con)
    contributors(con)
    # what the frames took would stay with this process, beside all that findings need
    pa.default_memory_pool().release_unused()
    with _no_collection():
        tell("findings")
        detect.run(con, settings, as_of=as_of, days=days)
        tell("chains")
        write_chains(con, as_of)
        tell("remediation_actions")
        actions.plan(con, actions.protected_ids(settings, tell))
        actions.write_outcomes(con, settings, as_of)


@contextlib.contextmanager
def _no_collection() -> Iterator[None]:
    """Pause the cycle collector: it would walk a million frozen facts, which hold no cycles, again and again."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _describe(con: duckdb.DuckDBPyConnection, models: list[Model]) -> None:
    """Put the notes of models.toml into the warehouse as comments."""
    # one transaction: four hundred single ones would each wait for the disk
    con.begin()
    for model in (model for model in models if not model.temp):
        con.execute(f"COMMENT ON TABLE {model.name} IS {_quote(f'{model.description} Grain: {model.grain}.')}")
        for column, note in model.columns.items():
            con.execute(f"COMMENT ON COLUMN {model.name}.{column} IS {_quote(note)}")
    con.commit()


def _quote(text: str) -> str:
    """A SQL string literal; COMMENT takes no bound parameter."""
    return "'" + text.replace("'", "''") + "'"


def _row_counts(con: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """Rows of every table that stays, by name."""
    names = con.execute(
        "SELECT table_name FROM duckdb_tables() WHERE NOT temporary AND schema_name = 'main' ORDER BY table_name"
    ).fetchall()
    counts = {}
    for (name,) in names:
        counts[str(name)] = int(con.execute(f'SELECT count(*) FROM "{name}"').fetchall()[0][0])
    return counts
