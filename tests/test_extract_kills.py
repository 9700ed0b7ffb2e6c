"""Killed twenty times at random moments, an extraction leads to the same warehouse as one that was left in peace."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import duckdb
import pytest
from checkout import ROOT

from appgov_lib.extract.snapshot import read_snapshots
from appgov_lib.sample import SampleTenant, running

SINCE = "2026-11-09"


def load() -> ModuleType:
    """tools/bench_kills.py as a module; `make bench` does the same with a large tenant."""
    spec = importlib.util.spec_from_file_location("bench_kills", ROOT / "tools" / "bench_kills.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


kills = load()


@pytest.fixture(scope="module")
def tenant() -> Iterator[SampleTenant]:
    """A small tenant whose answers take a moment, so that there are moments to choose from."""
    with running(service_principals=140, activity=0.3, faults="delay=0.05") as started:
        yield started


@pytest.fixture(scope="module")
def homes(tenant: SampleTenant, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The homes of the runs that were killed twenty times between them."""
    found: list[Path] = kills.killed(tenant.endpoint, tmp_path_factory.mktemp("killed"), SINCE)
    return found


@pytest.fixture(scope="module")
def warehouse(tenant: SampleTenant, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `appgov build` makes of an undisturbed run."""
    home = tmp_path_factory.mktemp("undisturbed")
    kills.undisturbed(tenant.endpoint, home, SINCE)
    found: Path = kills.built(home)
    return found


@pytest.fixture(scope="module")
def rebuilt(homes: list[Path]) -> Path:
    """What it makes of the run that was killed most often."""
    found: Path = kills.built(homes[0])
    return found


def test_every_table_is_the_same_row_for_row(homes: list[Path], rebuilt: Path, warehouse: Path) -> None:
    tables, rows, found = kills.differences(warehouse, rebuilt)
    assert found == []
    assert tables > 60
    assert rows > 5_000
    (snapshot,) = read_snapshots(kills.raw(homes[0]))
    assert {state.status for state in snapshot.sources.values()} == {"complete"}


def test_a_single_changed_value_or_missing_row_is_found(warehouse: Path, tmp_path: Path) -> None:
    """The comparison itself, on a copy of the warehouse."""
    copy = tmp_path / "copy.duckdb"
    shutil.copy(warehouse, copy)
    copy.chmod(0o600)
    assert kills.differences(warehouse, copy)[2] == []
    with duckdb.connect(str(copy)) as con:
        con.execute("UPDATE coverage SET requests = requests + 1")
    assert kills.differences(warehouse, copy)[2] == [], "what is listed as not compared"
    with duckdb.connect(str(copy)) as con:
        con.execute("UPDATE coverage SET rows = rows + 1 WHERE source = 'users'")
        con.execute("DELETE FROM stg_users WHERE rowid = 3")
    assert [line.split(",")[0] for line in kills.differences(warehouse, copy)[2]] == ["coverage", "stg_users"]


def test_every_exception_of_the_comparison_has_a_reason_and_exists(warehouse: Path) -> None:
    with duckdb.connect(str(warehouse), read_only=True) as con:
        columns = set(con.execute("SELECT table_name, column_name FROM duckdb_columns()").fetchall())
    assert kills.NOT_COMPARED.keys() <= columns
    assert all(kills.NOT_COMPARED.values())
