"""The warehouse file: readers and builds never block each other, and a reader has no way out."""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
from pathlib import Path

import duckdb
import pytest

import appgov_lib
from appgov_lib.errors import WarehouseMissing
from appgov_lib.settings import Settings
from appgov_lib.store.warehouse import KEEP, Build, current_path


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """An empty home."""
    return Settings(home=tmp_path)


def publish(settings: Settings, number: int, build_id: str = "b") -> Path:
    """Publish a warehouse that holds one number."""
    with Build(settings, build_id) as build:
        build.con.execute(f"CREATE TABLE t AS SELECT {number} AS n")
    return build.publication.path


def read(settings: Settings) -> int:
    """The number in the current warehouse."""
    with appgov_lib.connect(home=settings.home) as con:
        return int(con.execute("SELECT n FROM t").fetchall()[0][0])


def test_without_a_warehouse_the_error_says_what_to_run(settings: Settings) -> None:
    with pytest.raises(WarehouseMissing, match="appgov build"):
        appgov_lib.connect(home=settings.home)


def test_a_new_build_is_published_beside_an_open_reader(settings: Settings) -> None:
    first = publish(settings, 1)
    reader = appgov_lib.connect(home=settings.home)
    second = publish(settings, 2)  # the same build id: the published file is never replaced
    assert first != second
    assert reader.execute("SELECT n FROM t").fetchall() == [(1,)]
    assert read(settings) == 2
    reader.close()


def _hold(path: str, ready: multiprocessing.synchronize.Event, done: multiprocessing.synchronize.Event) -> None:
    """Keep a warehouse open in another process until told to stop."""
    con = duckdb.connect(path, read_only=True)
    con.execute("SELECT n FROM t").fetchall()
    ready.set()
    done.wait(30)
    con.close()


def test_a_reader_in_another_process_does_not_block_a_build(settings: Settings) -> None:
    path = publish(settings, 1)
    context = multiprocessing.get_context("spawn")
    ready, done = context.Event(), context.Event()
    process = context.Process(target=_hold, args=(str(path), ready, done))
    process.start()
    try:
        assert ready.wait(30)
        publish(settings, 2)
        assert read(settings) == 2
    finally:
        done.set()
        process.join(30)
    assert process.exitcode == 0


def test_a_crash_in_the_middle_leaves_the_old_one_current(settings: Settings) -> None:
    publish(settings, 1)

    def crash() -> None:
        with Build(settings, "crash") as build:
            build.con.execute("CREATE TABLE t AS SELECT 2 AS n")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        crash()
    assert read(settings) == 1
    assert not [path for path in settings.warehouse_dir.iterdir() if "crash" in path.name]


def test_a_build_keeps_to_its_memory_and_spills_beside_its_file(settings: Settings) -> None:
    wide = "SELECT n, repeat(md5(CAST(n AS VARCHAR)), 4) AS text FROM range(1_000_000) AS r(n)"
    with Build(settings, "b", memory="80MB") as build:
        build.con.execute(f"CREATE TEMP TABLE steps AS {wide}")
        (spilled,) = settings.warehouse_dir.glob(".building-*.tmp")
        assert any(spilled.iterdir())
        build.seal()
        build.con.execute("CREATE TABLE t AS SELECT 7 AS n")
        limit = build.con.execute("SELECT current_setting('memory_limit')").fetchall()[0][0]
        assert float(limit.split()[0]) < 81
    assert not list(settings.warehouse_dir.glob(".building-*"))
    assert read(settings) == 7


def test_a_small_table_is_written_to_the_file_at_once_and_in_parts(settings: Settings) -> None:
    parts = "SELECT count(DISTINCT row_group_id) FROM pragma_storage_info('t')"
    with Build(settings, "b") as build:
        build.con.execute("CREATE TABLE t AS SELECT n, md5(CAST(n AS VARCHAR)) AS word FROM range(100000) AS r (n)")
        (log,) = settings.warehouse_dir.glob("*.wal")
        assert log.stat().st_size < 1_000_000
        assert build.con.execute(parts).fetchall() == [(4,)]
        build.seal()
        assert build.con.execute("SELECT count(*), sum(n) FROM t").fetchall() == [(100_000, 4_999_950_000)]
    with appgov_lib.connect(home=settings.home) as con:
        assert con.execute(parts).fetchall() == [(4,)]


def test_what_a_killed_build_left_is_cleared_by_the_next(settings: Settings) -> None:
    publish(settings, 1)
    for name in (".building-x.duckdb", ".building-x.duckdb.wal"):
        (settings.warehouse_dir / name).write_bytes(b"half")
    publish(settings, 2)
    assert not list(settings.warehouse_dir.glob(".building-*"))
    assert read(settings) == 2


def test_an_unfinished_file_is_never_current(settings: Settings) -> None:
    publish(settings, 1)
    with Build(settings, "b2") as build:
        build.con.execute("CREATE TABLE t AS SELECT 2 AS n")
        assert read(settings) == 1
    assert read(settings) == 2


def test_only_the_newest_files_stay(settings: Settings) -> None:
    for number in range(KEEP + 3):
        path = publish(settings, number, f"b{number}")
        os.utime(path, ns=(number, number))
    kept = sorted(path.name for path in settings.warehouse_dir.glob("*.duckdb"))
    assert kept == [f"warehouse-b{number}.duckdb" for number in (3, 4, 5)]
    assert read(settings) == KEEP + 2


def test_a_file_that_cannot_be_deleted_is_left(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, missing_ok: bool = False) -> None:
        raise PermissionError(13, "The process cannot access the file because it is being used by another process")

    for number in range(KEEP):
        publish(settings, number, f"b{number}")
    monkeypatch.setattr(Path, "unlink", refuse)
    publish(settings, 9, "b9")
    assert read(settings) == 9


@pytest.mark.parametrize(
    "pointer",
    [
        b"",
        b"{",
        b"[]",
        b'{"file": null}',
        b'{"file": "../../etc/passwd"}',
        b'{"file": "warehouse-../x.duckdb"}',
        b"\xff\xfe",
    ],
)
def test_a_damaged_pointer_is_one_sentence(settings: Settings, pointer: bytes) -> None:
    publish(settings, 1)
    (settings.warehouse_dir / "current.json").write_bytes(pointer)
    with pytest.raises(WarehouseMissing, match=r"damaged.*appgov build") as caught:
        current_path(settings)
    assert "\n" not in str(caught.value)


def test_a_pointer_that_is_being_replaced_is_read_again(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(settings, 1)
    real, refusals = Path.read_bytes, iter([True, True])

    def refuse_twice(self: Path) -> bytes:
        if next(refusals, False):
            raise PermissionError(13, "used by another process")
        return real(self)

    monkeypatch.setattr(Path, "read_bytes", refuse_twice)
    assert read(settings) == 1


def test_a_missing_file_is_one_sentence(settings: Settings) -> None:
    publish(settings, 1).unlink()
    with pytest.raises(WarehouseMissing, match=r"gone.*appgov build"):
        appgov_lib.connect(home=settings.home)


@pytest.mark.parametrize("content", [b"", b"not a database at all" * 1000])
def test_a_damaged_warehouse_is_one_sentence(settings: Settings, content: bytes) -> None:
    publish(settings, 1).write_bytes(content)
    with pytest.raises(WarehouseMissing, match=r"cannot be read.*appgov build") as caught:
        appgov_lib.connect(home=settings.home)
    assert "\n" not in str(caught.value)


def test_a_reader_has_no_way_out(settings: Settings, tmp_path: Path) -> None:
    publish(settings, 1)
    secret = tmp_path / "secret.csv"
    secret.write_text("a\n1\n")
    statements = [
        f"SELECT * FROM '{secret}'",
        f"COPY t TO '{tmp_path / 'out.csv'}'",
        f"ATTACH '{tmp_path / 'other.duckdb'}'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET enable_external_access = true",
        "CREATE TABLE x AS SELECT 1",
        "INSERT INTO t VALUES (2)",
    ]
    with appgov_lib.connect(home=settings.home) as con:
        for statement in statements:
            with pytest.raises(duckdb.Error):
                con.execute(statement)
    assert not (tmp_path / "out.csv").exists()


def test_a_build_reads_only_the_folders_it_was_given(settings: Settings, tmp_path: Path) -> None:
    allowed, other = tmp_path / "it's raw", tmp_path / "other"
    for folder in (allowed, other):
        folder.mkdir()
        (folder / "x.ndjson").write_text('{"a": 1}\n')
    with Build(settings, "b", readable=(allowed,)) as build:
        sql = "SELECT a FROM read_json($f, columns = {a: 'INTEGER'})"
        assert build.con.execute(sql, {"f": [str(allowed / "x.ndjson")]}).fetchall() == [(1,)]
        with pytest.raises(duckdb.PermissionException):
            build.con.execute(sql, {"f": [str(other / "x.ndjson")]})


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no mode bits")
def test_files_are_private(settings: Settings) -> None:
    path = publish(settings, 1)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_the_pointer_holds_a_name_and_no_path(settings: Settings) -> None:
    path = publish(settings, 1)
    assert json.loads((settings.warehouse_dir / "current.json").read_bytes()) == {"build_id": "b", "file": path.name}


def test_a_sealed_file_keeps_its_parts(settings: Settings) -> None:
    """What was written before the seal is not written anew, in larger parts, at the checkpoint after it."""
    with Build(settings, "a") as build:
        build.con.execute("CREATE TABLE t AS SELECT n FROM range(100000) AS r (n)")
        build.seal()
        build.con.execute("CREATE TABLE later AS SELECT 1 AS n")
        build.con.execute("CHECKPOINT")
    with duckdb.connect(str(build.publication.path), read_only=True) as con:
        assert con.sql("SELECT count(DISTINCT row_group_id) FROM pragma_storage_info('t')").fetchall() == [(4,)]
