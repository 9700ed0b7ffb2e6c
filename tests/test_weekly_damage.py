"""Damaged raw files: whatever happened to one, it is named, nothing is lost, the next run heals, no report is wrong."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from pathlib import Path

import duckdb
import pytest
import zstandard
from snapshots import take
from weekly_home import NEXT_RUN, Home, copy_of, current, stages

import appgov_lib
from appgov_lib.errors import ConfigError, ExitCode
from appgov_lib.extract.credentials import ReadyToken
from appgov_lib.extract.repair import DAMAGED
from appgov_lib.extract.run import extract
from appgov_lib.extract.snapshot import read_lines, read_snapshot
from appgov_lib.sample import SampleTenant, running
from appgov_lib.settings import Settings
from appgov_lib.store.build import build

AS_OF = date(2026, 11, 15)
NOW = datetime(2026, 11, 16, 5, 17)
NAMES = ("organization", "users")


@pytest.fixture(scope="module")
def tenant() -> Iterator[SampleTenant]:
    """A small tenant."""
    with running(service_principals=140, activity=0.2) as started:
        yield started


@pytest.fixture
def home(prepared_week: Path, tmp_path: Path, tenant: SampleTenant) -> Home:
    """A home of this test alone in which last week went well."""
    return copy_of(prepared_week, tmp_path / "home", tenant)


def again(change: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    """A change of the lines, compressed anew: whole as a file and not what was written."""
    return lambda packed: zstandard.compress(change(zstandard.ZstdDecompressor().decompressobj().decompress(packed)))


def flip(packed: bytes) -> bytes:
    """One byte in the middle changed."""
    middle = len(packed) // 2
    return packed[:middle] + bytes([packed[middle] ^ 0x5A]) + packed[middle + 1 :]


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "cut in half": lambda packed: packed[: len(packed) // 2],
    "the last bytes gone": lambda packed: packed[:-5],
    "empty": lambda packed: b"",
    "one byte flipped": flip,
    "zeros, as after a crash": lambda packed: b"\0" * len(packed),
    "another compression": lambda packed: gzip.compress(b"{}\n"),
    "a record less": again(lambda lines: b"".join(lines.splitlines(keepends=True)[:-1])),
    "a value changed": again(lambda lines: lines.replace(b"Ada 1", b"Eve 1")),
    "no JSON": again(lambda lines: b"no JSON\n" * lines.count(b"\n")),
}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A small warehouse and the snapshot it was made from."""
    settings = Settings(tmp_path_factory.mktemp("built"), "contoso")
    users = [{"id": f"00000000-0000-4000-a000-{n:012d}", "displayName": f"Ada {n}"} for n in range(300)]
    audits = [{"id": "d1", "activityDateTime": "2026-11-10T00:00:00Z"}]
    logged = {"directory_audits": (NOW - timedelta(days=7), NOW, audits)}
    take(settings, NOW, {"organization": [{"id": "o"}], "users": users}, logged)
    build(settings, AS_OF)
    return settings


@pytest.mark.parametrize("how", DAMAGE)
def test_no_build_from_a_damaged_file(built: Settings, how: str) -> None:
    """DuckDB reads a file that was cut short as one with fewer records: 300 people would be none."""
    (path,) = built.raw_dir.glob("*/users/*.zst")
    whole = path.read_bytes()
    path.write_bytes(DAMAGE[how](whole))
    try:
        with pytest.raises(ConfigError) as caught:
            build(built, AS_OF)
    finally:
        path.write_bytes(whole)
    assert str(caught.value) == (
        f"The raw file {path} is damaged: its content is not what its manifest has the hash of; move its snapshot "
        "folder away and extract or import again."
    )
    with appgov_lib.connect(tenant="contoso", home=built.home) as con:
        assert con.execute("SELECT count(*) FROM stg_users").fetchall() == [(300,)]


def taken_in(home: Home, export: Path) -> bool:
    """Whether a file was imported."""
    run = home.start("import", str(export), "--tenant", "contoso", "--quiet")
    run.communicate(timeout=100)
    return run.returncode == 0


@pytest.mark.timeout(400)
def test_every_kind_of_damage_in_one_run_and_an_import(home: Home, tmp_path: Path) -> None:
    (snapshot,) = home.data.glob("raw/extract-*")
    export = tmp_path / "audits.json"
    (page,) = sorted(snapshot.glob("directory_audits*/directory_audits-*.zst"))[:1]
    export.write_bytes(b"\n".join(line for line, _ in zip(read_lines(page), range(20), strict=False)) + b"\n")
    assert taken_in(home, export)
    (imported,) = home.data.glob("raw/import-*/*/*.zst")
    hurt = {
        "directory_audits": DAMAGE["cut in half"],
        "sign_ins_interactive": DAMAGE["empty"],
        "users": flip,
        "service_principals": DAMAGE["a record less"],
    }
    files = {name: sorted(snapshot.glob(f"*/{name}-*.zst"))[0] for name in hurt}
    wrong = read_snapshot(snapshot).buckets["organization"][0]
    files["organization"] = snapshot / wrong.path
    broken = {
        path: hurt[name](path.read_bytes()) if name in hurt else path.read_bytes() for name, path in files.items()
    }
    for path, content in broken.items():
        path.write_bytes(content)
    manifest = snapshot / "manifest.json"
    manifest.write_text(manifest.read_text().replace(wrong.sha256, "0" * 64))
    imported.write_bytes(flip(imported.read_bytes()))

    code, line, said = home.run(now=NEXT_RUN)
    assert (code, said) == (ExitCode.PARTIAL, "")
    first = min(str(path.relative_to(snapshot.parent)) for path in broken)
    name = f"{imported.parents[1].name}/{imported.parent.name}/{imported.name}"
    assert line["notes"] == [
        f"5 damaged raw files, {first} among them, were set aside",
        f"the damaged raw file {name} was set aside; import audits.json again",
    ]
    assert all(note in line["sentence"] for note in line["notes"])
    assert stages(line) == [
        ("extract", "nothing to do"),
        ("build", "failed"),
        ("verify", "done"),
        ("extract", "done"),
        ("build", "done"),
        ("report", "done"),
    ]
    aside = snapshot.parent / DAMAGED
    assert {path: (aside / path.relative_to(snapshot.parent)).read_bytes() for path in broken} == broken
    with duckdb.connect(str(current(home)), read_only=True) as con:
        told = dict(con.execute("SELECT source, status FROM coverage WHERE rows > 0").fetchall())
        assert {told[source] for source in files} == {"complete"}
        assert con.execute("SELECT count(*) > 100 FROM stg_users").fetchall() == [(True,)]

    assert taken_in(home, export)
    assert imported.is_file(), "a file that was set aside can be imported again"
    code, line, _ = home.run(now="2026-11-16T10:00:00")
    assert (code, line["notes"]) == (0, [])
    code, line, _ = home.run(now="2026-11-16T11:00:00")
    assert (code, {status for _, status in stages(line)}) == (0, {"nothing to do"})


def test_a_damaged_manifest_is_written_anew(home: Home) -> None:
    (snapshot,) = home.data.glob("raw/extract-*")
    manifest = snapshot / "manifest.json"
    whole = json.loads(manifest.read_text())
    manifest.write_text("not JSON")
    code, line, _ = home.run(now=NEXT_RUN)
    assert code == ExitCode.PARTIAL
    assert f"the manifest of the snapshot {snapshot.name} was damaged and written anew" in line["sentence"]
    found = json.loads(manifest.read_text())
    assert (found["buckets"], found["sources"]) == (whole["buckets"], whole["sources"])
    code, line, _ = home.run(now=NEXT_RUN)
    assert (code, {status for _, status in stages(line)}) == (0, {"nothing to do"})


def read(settings: Settings, tenant: SampleTenant, now: datetime, names: tuple[str, ...] = NAMES) -> Path:
    """Read two sources; the folder of the snapshot."""
    return extract(settings, now=now, names=names, credential=ReadyToken(tenant.token)).folder


def test_changes_are_not_laid_over_a_damaged_list(tmp_path: Path, tenant: SampleTenant) -> None:
    settings = Settings(tmp_path, "contoso", endpoint=tenant.endpoint)
    first = read(settings, tenant, NOW)
    rows = read_snapshot(first).sources["users"].rows
    second = read(settings, tenant, NOW + timedelta(hours=5))
    origins = {file.origin for file in read_snapshot(second).buckets["users"]}
    assert origins == {f"delta over {first.name}"}
    path = sorted(second.glob("users/*.zst"))[0]
    path.write_bytes(DAMAGE["cut in half"](path.read_bytes()))
    third = read_snapshot(read(settings, tenant, NOW + timedelta(hours=9)))
    assert third.sources["users"].rows == rows
    assert [file.origin for file in third.buckets["users"] if file.origin.startswith("delta")] == []


def test_an_unfinished_snapshot_that_is_damaged_is_read_anew(tmp_path: Path, tenant: SampleTenant) -> None:
    settings = Settings(tmp_path, "contoso", endpoint=tenant.endpoint)
    names = ("service_principals", "app_role_assignments")  # the second one reads the first one's files
    folder = read(settings, tenant, NOW, names)
    whole = read_snapshot(folder).sources
    (folder / "manifest.json").unlink()
    journal = (folder / "journal.jsonl").read_text().splitlines()
    kept = [line for line in journal if json.loads(line).get("source") != "app_role_assignments"]
    (folder / "journal.jsonl").write_text("\n".join(kept) + "\n")
    path = sorted(folder.glob("service_principals/*.zst"))[0]
    broken = flip(path.read_bytes())
    path.write_bytes(broken)
    found = read_snapshot(read(settings, tenant, NOW + timedelta(hours=1), names))
    assert {name: (s.status, s.rows) for name, s in found.sources.items()} == {
        name: ("complete", s.rows) for name, s in whole.items()
    }
    assert (settings.raw_dir / DAMAGED / folder.name / path.relative_to(folder)).read_bytes() == broken
