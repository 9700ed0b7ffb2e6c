"""The one place that writes, publishes and opens the warehouse.

A build writes a new file beside the old one and publishes it by replacing a small pointer, `current.json`, which
nobody keeps open. A file that has been published is never written, renamed or replaced again, so an analyst with an
open notebook never blocks a run, nor a run the analyst, on Windows as on Linux. Old files go when nobody holds them.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TypeVar

import duckdb

from appgov_lib.errors import WarehouseMissing
from appgov_lib.settings import Settings, private_dir, private_write

POINTER = "current.json"
KEEP = 3
"""Published files that stay, the current one included: notebooks opened before the last builds go on reading."""
PATIENCE = 20
"""Attempts, a twentieth of a second apart, to read or replace the pointer."""

T = TypeVar("T")

_FILE_NAME = re.compile(r"warehouse-[A-Za-z0-9._-]+\.duckdb")
_BUILDING = ".building-"
_NO_EXTENSIONS = {"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}
MEMORY, MORE_MEMORY = "1500MB", "80%"
_BESIDE_PYTHON = "400MB"
"""What a build may take: beyond it DuckDB spills into a folder beside the new file. Some steps cannot: a build for
which the first is too little is begun anew with the second, a share of the machine's memory. Once the tables are made,
findings and actions need the rest for themselves."""
_WRITES = {"checkpoint_threshold": "1GB"}
"""Without it the whole file would be written over every 16 MB."""
_ROW_GROUP = 30_720
"""Rows of a table that are read and written together. DuckDB's own 122,880 are a whole table of most tenants: one
thread would read it alone, and what fills no group goes to the log first and to the file in a second writing."""
SHARED_STEP = "TABLE steps.main."
"""How both connections of a `Scratch` make a table that the file does not keep."""
_READER = {**_NO_EXTENSIONS, "enable_external_access": "false", "lock_configuration": "true"}


def current_path(settings: Settings) -> Path:
    """Path of the current warehouse file.

    Raises `WarehouseMissing` when nothing was built yet, the pointer is damaged, or its file is gone.
    """
    pointer = settings.warehouse_dir / POINTER
    try:
        name = json.loads(_patiently(pointer.read_bytes))["file"]
    except FileNotFoundError:
        raise WarehouseMissing(
            f"There is no warehouse for the tenant {settings.tenant!r} in {settings.home}; run `appgov build` "
            "(after `appgov extract`), or `appgov demo` for the sample tenant."
        ) from None
    except (OSError, ValueError, KeyError, TypeError):
        name = None
    if not isinstance(name, str) or not _FILE_NAME.fullmatch(name):
        raise WarehouseMissing(f"The pointer {pointer} is damaged; run `appgov build` to make the warehouse anew.")
    path = settings.warehouse_dir / name
    if not path.is_file():
        raise WarehouseMissing(f"The warehouse file {path} is gone; run `appgov build` to make it anew.")
    return path


def connect(tenant: str | None = None, home: Path | str | None = None) -> duckdb.DuckDBPyConnection:
    """Open the current warehouse, read-only, with no way out to files, network or extensions.

    `tenant` and `home` default to `APPGOV_TENANT` and `APPGOV_HOME`. Raises `WarehouseMissing` when there is none
    or it cannot be read.
    """
    settings = Settings.load(tenant=tenant, home=home)
    return open_read_only(current_path(settings))


def open_read_only(path: Path) -> duckdb.DuckDBPyConnection:
    """Open one warehouse file for reading; raises `WarehouseMissing` when it is not a usable DuckDB file."""
    try:
        return duckdb.connect(str(path), read_only=True, config=dict(_READER))
    except duckdb.Error as error:
        raise WarehouseMissing(
            f"The warehouse file {path} cannot be read ({type(error).__name__}); run `appgov build` to make it anew."
        ) from error


@dataclass(frozen=True)
class Publication:
    """What a finished build left behind."""

    path: Path
    build_id: str


class Scratch:
    """A new database file that its owner fills from raw files, and seals before rules of users run over it."""

    con: duckdb.DuckDBPyConnection
    beside: duckdb.DuckDBPyConnection
    """A second one to the same tables, for work that goes on at the same time; both end with `seal`."""

    def __init__(self, path: Path, readable: tuple[Path, ...], memory: str = MEMORY) -> None:
        """Create the file at `path`; raw data may be read from the folders `readable`, and from nowhere else."""
        self.path = path
        self._config = {**_NO_EXTENSIONS, **_WRITES, "memory_limit": memory}
        # each of the two connections has half of the cores to itself
        self.con = _attached(path, {**self._config, "threads": str(max(1, (os.cpu_count() or 1) // 2))})
        path.chmod(0o600)
        self.con.execute("ATTACH ':memory:' AS steps")
        self.beside = self.con.cursor()
        for con in (self.con, self.beside):
            con.execute("SET search_path = 'warehouse.main,steps.main'")
            con.execute("SET TimeZone = 'UTC'")
        folders = [str(folder.resolve()) for folder in (*readable, path.parent)]
        quoted = ", ".join("'" + folder.replace("'", "''") + "'" for folder in folders)
        self.con.execute(f"SET allowed_directories = [{quoted}]")
        self.con.execute("SET enable_external_access = false")
        self.con.execute("SET lock_configuration = true")

    def seal(self) -> duckdb.DuckDBPyConnection:
        """Close the way to the raw files: rules that users write see the new file and nothing else."""
        self.beside.close()
        self.con.execute("CHECKPOINT warehouse")
        self.con.close()
        self.con = open_sealed(self.path, self._config["memory_limit"])
        return self.con


def open_sealed(path: Path, memory: str = MEMORY) -> duckdb.DuckDBPyConnection:
    """Open a file whose tables are made, to write what is judged from them; it leads nowhere else."""
    limit = _BESIDE_PYTHON if memory == MEMORY else memory
    con = _attached(path, {**_NO_EXTENSIONS, **_WRITES, "memory_limit": limit})
    con.execute("SET enable_external_access = false")
    con.execute("SET lock_configuration = true")
    return con


def _attached(path: Path, config: dict[str, str]) -> duckdb.DuckDBPyConnection:
    """Open or create a file with row groups of our size.

    Only a file that is attached can be given one, and one that is opened without it is written over as a whole, in
    groups of the usual size, at the first checkpoint.
    """
    con = duckdb.connect(":memory:", config={**config, "temp_directory": f"{path}.tmp"})
    place = str(path).replace("'", "''")
    con.execute(f"ATTACH '{place}' AS warehouse (ROW_GROUP_SIZE {_ROW_GROUP})")
    con.execute("USE warehouse")
    con.execute("SET TimeZone = 'UTC'")
    return con


@contextlib.contextmanager
def scratch(folder: Path, readable: tuple[Path, ...]) -> Iterator[Scratch]:
    """A file that is never published, in a folder of its own inside `folder`; both vanish with the block."""
    with tempfile.TemporaryDirectory(prefix=".scratch-", dir=private_dir(folder)) as place:
        made = Scratch(Path(place) / "scratch.duckdb", readable)
        try:
            yield made
        finally:
            made.con.close()


class Build:
    """Context of one build: a new file that becomes current when the block ends well and vanishes when it does not.

    `readable` are the folders raw data may be read from; the connection reaches nothing else.
    """

    def __init__(
        self, settings: Settings, build_id: str, readable: tuple[Path, ...] = (), memory: str = MEMORY
    ) -> None:
        """Remember where to build; nothing is written before the block is entered."""
        self.build_id = build_id
        self._memory = memory
        self._settings = settings
        self._readable = readable
        self._folder = settings.warehouse_dir
        self._path = self._folder
        self._file: Scratch
        self.con: duckdb.DuckDBPyConnection
        self.beside: duckdb.DuckDBPyConnection
        self.publication: Publication

    def __enter__(self) -> Build:
        """Clear what a crashed build left and open the new file."""
        private_dir(self._folder)
        for leftover in sorted(self._folder.glob(f"{_BUILDING}*")):
            _remove(leftover)
        self._path = _free(self._folder, f"{_BUILDING}{self.build_id}", ".duckdb")
        self._file = Scratch(self._path, self._readable, self._memory)
        self.con, self.beside = self._file.con, self._file.beside
        return self

    def seal(self) -> None:
        """Close the way to the raw files: rules that users write see the new file and nothing else."""
        self.con = self._file.seal()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Publish the file, or remove it if the block failed."""
        self.con.close()
        if error is not None:
            for ending in ("", ".wal", ".tmp"):
                _remove(self._path.with_name(self._path.name + ending))
            return
        target = _free(self._folder, f"warehouse-{self.build_id}", ".duckdb")
        self._path.rename(target)
        content = {"file": target.name, "build_id": self.build_id}
        pointer = json.dumps(content, sort_keys=True).encode() + b"\n"
        _patiently(lambda: private_write(self._folder / POINTER, pointer))
        self.publication = Publication(path=target, build_id=self.build_id)
        _prune(self._folder, target)


def _patiently(action: Callable[[], T]) -> T:
    """Do something with the pointer: Windows refuses for the instant another process reads or replaces it."""
    for _ in range(PATIENCE):
        try:
            return action()
        except PermissionError:
            time.sleep(0.05)
    return action()


def _free(folder: Path, stem: str, suffix: str) -> Path:
    """A name nobody has: the same build may run again while its earlier file is being read."""
    path, number = folder / f"{stem}{suffix}", 1
    while path.exists():
        number += 1
        path = folder / f"{stem}-{number}{suffix}"
    return path


def _prune(folder: Path, current: Path) -> None:
    """Remove all but the newest published files, as far as nobody holds them."""
    published = [path for path in folder.glob("warehouse-*.duckdb") if path != current]
    published.sort(key=lambda path: (path.stat().st_mtime_ns, path.name), reverse=True)
    for path in published[KEEP - 1 :]:
        _remove(path)


def _remove(path: Path) -> None:
    """Delete a file, or a folder of spilled rows, that is there and nobody holds (Windows refuses then).

    A later build tries again.
    """
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
        return
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)
