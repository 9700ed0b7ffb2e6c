"""Damaged snapshots: what cannot be read is set aside, the rest stays, and what was lost counts as not read."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest
from snapshots import take

from appgov_lib.extract.repair import DAMAGED, repair
from appgov_lib.extract.snapshot import read_snapshots
from appgov_lib.settings import Settings

NOW = datetime(2026, 11, 16, 5, 17)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """An empty home."""
    return Settings(tmp_path, "contoso")


def two_weeks(settings: Settings) -> list[Path]:
    """Two snapshots by hand; their folders."""
    for day in (9, 16):
        at = datetime(2026, 11, day, 5)
        logged = {"directory_audits": (datetime(2026, 11, day - 7), at, [{"id": f"d{day}"}])}
        take(settings, at, {"organization": [{"id": "o"}], "users": [{"id": "u"}]}, logged)
    return [snapshot.folder for snapshot in read_snapshots(settings.raw_dir)]


def test_whole_snapshots_are_left_alone(settings: Settings) -> None:
    folders = two_weeks(settings)
    before = {p: p.read_bytes() for folder in folders for p in folder.rglob("*") if p.is_file()}
    assert repair(settings.raw_dir, NOW) == []
    assert {p: p.read_bytes() for p in before} == before


@pytest.mark.parametrize("how", ["flipped", "cut", "gone"])
def test_what_a_damaged_file_held_counts_as_not_read(settings: Settings, how: str) -> None:
    first, _ = two_weeks(settings)
    (file,) = first.glob("directory_audits_graph/*.zst")
    whole = file.read_bytes()
    changed = {"flipped": whole[:-6] + bytes([whole[-6] ^ 1]) + whole[-5:], "cut": whole[:-9], "gone": None}[how]
    file.unlink() if changed is None else file.write_bytes(changed)
    (done,) = repair(settings.raw_dir, NOW)
    assert (done.snapshot_id, done.files, done.sources) == (first.name, 1, ("directory_audits",))
    assert done.since == "2026-11-02T00:00:00Z"
    snapshot = read_snapshots(settings.raw_dir)[0]
    assert {n: s.status for n, s in snapshot.sources.items()} == {
        "directory_audits": "failed", "organization": "complete", "users": "complete",
    }  # fmt: skip
    aside = settings.raw_dir / DAMAGED / first.name
    assert "directory_audits" in (aside / "manifest.json").read_text()
    assert (aside / file.relative_to(first)).exists() == (how != "gone")
    assert repair(settings.raw_dir, NOW) == [], "once is enough"


def test_pruned_files_are_not_damaged(settings: Settings) -> None:
    first, _ = two_weeks(settings)
    (file,) = first.glob("users/*.zst")
    file.unlink()
    assert repair(settings.raw_dir, NOW, {first.name: {str(file.relative_to(first))}}) == []


def test_a_snapshot_without_manifest_and_journal_is_set_aside_whole(settings: Settings) -> None:
    first, second = two_weeks(settings)
    (first / "manifest.json").write_text("{}")
    (first / "journal.jsonl").write_text("")
    (done,) = repair(settings.raw_dir, NOW)
    assert done.whole
    assert (settings.raw_dir / DAMAGED / first.name / "manifest.json").read_text() == "{}"
    assert [s.folder for s in read_snapshots(settings.raw_dir)] == [second]


def test_a_repair_cut_short_tells_the_next_one(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed before the manifests are written: files are aside, and what is told and asked for again is the same."""
    first, second = two_weeks(settings)
    for folder in (first, second):
        (file,) = folder.glob("directory_audits_graph/*.zst")
        file.write_bytes(b"")
    with monkeypatch.context() as patched:
        patched.setattr("appgov_lib.extract.repair._write_without", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            repair(settings.raw_dir, NOW)
    assert [s.sources["directory_audits"].status for s in read_snapshots(settings.raw_dir)] == ["complete"] * 2
    done = repair(settings.raw_dir, NOW)
    assert [(item.snapshot_id, item.sources) for item in done] == [
        (first.name, ("directory_audits",)), (second.name, ("directory_audits",)),
    ]  # fmt: skip
    assert repair(settings.raw_dir, NOW) == []
