"""The catalogue of SQL models: which tables there are, in which order, what one row is, and where the SQL is."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import duckdb

from appgov_lib import lookalikes
from appgov_lib.errors import ConfigError
from appgov_lib.least_privilege import COVER_OPTIONS, smallest_cover

PACKAGE = Path(__file__).parent.parent
MODELS_DIR = PACKAGE / "models"
REFERENCE_DIR = PACKAGE / "reference"
REPLACEABLE = frozenset({"endpoint_permissions.csv"})
"""Reference tables that a user's own file may stand in for."""
ADDITIVE = frozenset({"abused_apps.csv"})
"""Reference tables to which the rows of a user's own file are added."""
EMPTY = MODELS_DIR / "empty.ndjson"
"""Stands in for a bucket nobody filled, so that every model can always run."""
STEP = "TEMP TABLE "
"""How a table is made that the finished warehouse does not keep."""


@dataclass(frozen=True)
class Checks:
    """What must hold for a table, beside its key."""

    not_null: tuple[str, ...] = ()
    accepted: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Model:
    """One table made by one SQL file."""

    name: str
    layer: str
    """`staging` or `mart`."""
    description: str
    grain: str
    key: tuple[str, ...]
    columns: Mapping[str, str]
    """Note of every column, by name, in the order of the table."""
    temp: bool = False
    """A step on the way that the finished warehouse does not keep."""
    nullable: tuple[str, ...] = ()
    """Key columns that may be NULL."""
    checks: Checks = Checks()
    """A breach stops the publish."""
    warn: Checks = Checks()
    """A breach is recorded."""
    path: Path = Path()


def load_models(folder: Path = MODELS_DIR) -> list[Model]:
    """The models in build order; raises `ConfigError` for an entry without its SQL file or with unknown words."""
    entries = tomllib.loads((folder / "models.toml").read_text(encoding="utf-8"))["model"]
    return [_model(entry, folder) for entry in entries]


def needed_models(names: Iterable[str]) -> list[Model]:
    """The named models and all they are made from, in build order."""
    models = {model.name: model for model in load_models()}
    found: set[str] = set()
    ahead = list(names)
    while ahead:
        name = ahead.pop()
        if name not in found:
            found.add(name)
            ahead += words(models[name]) & models.keys()
    return [model for model in models.values() if model.name in found]


def words(model: Model) -> set[str]:
    """The words of a model's SQL, among them the tables it reads; a comment or a text does not count."""
    sql = re.sub(r"'(?:[^']|'')*'|--.*", "", model.path.read_text(encoding="utf-8"))
    return set(re.findall(r"\w+", sql))


def _model(entry: dict[str, Any], folder: Path) -> Model:
    """One entry of the file as a `Model`."""
    place = {"staging": "staging", "mart": "marts"}.get(entry.get("layer", ""))
    if place is None:
        raise ConfigError(f"models.toml: the model {entry.get('name')!r} has an unknown layer.")
    path = folder / place / f"{entry['name']}.sql"
    if not path.is_file():
        raise ConfigError(f"models.toml names the model {entry['name']!r}, but {path} does not exist.")
    known = {**entry, "key": tuple(entry["key"]), "nullable": tuple(entry.get("nullable", ())), "path": path}
    for word in ("checks", "warn"):
        raw = entry.get(word, {})
        accepted = {column: tuple(values) for column, values in raw.get("accepted", {}).items()}
        known[word] = Checks(not_null=tuple(raw.get("not_null", ())), accepted=accepted)
    return Model(**known)


def prepare(con: duckdb.DuckDBPyConnection, own: Path | None = None, step: str = STEP) -> None:
    """Load what models share into `con`: macros, empty tables for the builder, reference tables, Python functions.

    A reference table is called `ref_<file stem>`; all its columns are text. `own` is a folder whose tables stand in
    for the shipped ones of the same name or add to them, where that is allowed; raises `ConfigError` for one that is
    damaged. `step` is where tables go that are not kept, as in `run_model`.
    """
    loaded: set[str] = set()
    add_macros(con)
    con.execute((MODELS_DIR / "before.sql").read_text(encoding="utf-8").replace(STEP, step))
    for path in reference_tables(own):
        start = "INSERT INTO ref_{}" if path.stem in loaded else "CREATE OR REPLACE TABLE ref_{} AS"
        loaded.add(path.stem)
        con.execute(
            f"{start.format(path.stem)} "
            "SELECT * FROM read_csv($path, header = true, all_varchar = true, delim = ',', quote = '\"')",
            {"path": str(path)},
        )
    # the one rule that is no SQL: a search over combinations
    con.create_function("smallest_cover", smallest_cover, [COVER_OPTIONS], "VARCHAR[]")
    # and what needs to know Unicode's letters
    for name in lookalikes.FUNCTIONS:
        con.create_function(name, getattr(lookalikes, name), ["VARCHAR"], "VARCHAR")


def add_macros(con: duckdb.DuckDBPyConnection) -> None:
    """Load the words the models share; every connection has its own."""
    con.execute((MODELS_DIR / "macros.sql").read_text(encoding="utf-8"))


def reference_tables(own: Path | None = None) -> list[Path]:
    """The file of each reference table: the user's own in the folder `own` before the shipped one, or after it.

    Raises `ConfigError` for a file of the user's whose first line is not that of the shipped one.
    """
    found = []
    for shipped in sorted(REFERENCE_DIR.glob("*.csv")):
        mine = own / shipped.name if own is not None and shipped.name in REPLACEABLE | ADDITIVE else None
        if mine is not None and mine.exists() and _first_line(mine) != _first_line(shipped):
            raise ConfigError(
                f"The reference table {mine} is damaged: its first line is not the expected one; run `appgov "
                "permissions refresh` again, or remove the file to use the shipped table."
                if shipped.name in REPLACEABLE
                else f"The reference table {mine} must begin with the line {_first_line(shipped).decode()}; write it "
                "there, or remove the file."
            )
        is_mine = mine is not None and mine.exists()
        if not is_mine or shipped.name in ADDITIVE:
            found.append(shipped)
        if mine is not None and is_mine:
            found.append(mine)
    return found


def _first_line(path: Path) -> bytes:
    """The header of a table; empty where the file cannot be read."""
    try:
        with path.open("rb") as handle:
            return handle.readline(1000).strip()
    except OSError:
        return b""


def run_model(
    con: duckdb.DuckDBPyConnection,
    model: Model,
    files: Mapping[str, list[Path]],
    as_of: date,
    days: int,
    step: str = STEP,
) -> None:
    """Create the table of one model.

    `files` holds the raw files per bucket; only the parameters the SQL names are bound. A table that is not kept is
    one of this connection alone, or goes to another place that `step` names.
    """
    sql = model.path.read_text(encoding="utf-8")
    available: dict[str, object] = {"as_of": as_of, "days": days}
    available |= {bucket: [str(path) for path in paths] or [str(EMPTY)] for bucket, paths in files.items()}
    (statement,) = duckdb.extract_statements(
        f"CREATE OR REPLACE {step if model.temp else 'TABLE '}{model.name} AS {sql}"
    )
    values = {name: available.get(name, [str(EMPTY)]) for name in statement.named_parameters}
    con.execute(statement, values)


def insert_rows(con: duckdb.DuckDBPyConnection, table: str, rows: Sequence[Sequence[object]]) -> None:
    """Append rows to a table in one statement, column by column: `executemany` takes milliseconds for each row."""
    if rows:
        columns = [list(column) for column in zip(*rows, strict=True)]
        con.execute(f"INSERT INTO {table} SELECT {', '.join(['unnest(?)'] * len(columns))}", columns)
