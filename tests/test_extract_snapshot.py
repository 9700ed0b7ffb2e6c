"""Raw snapshots: immutable once finished, continued when killed, nothing lost and nothing twice."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import pytest

from appgov_lib.errors import ConfigError
from appgov_lib.extract.snapshot import (
    Rejected,
    SnapshotWriter,
    SourceState,
    read_lines,
    read_snapshots,
    unfinished,
)

T0 = datetime(2026, 11, 16)
LINES = [b'{"id":"a"}', b'{"id":"b","n":{"x":1}}']


def write_one(raw: Path, snapshot_id: str = "extract-1") -> None:
    """A finished snapshot with one file of two records."""
    writer = SnapshotWriter(raw, snapshot_id, "extract", T0)
    writer.write("things", LINES, "http://127.0.0.1/v1.0/things", name="things-all-00001", received=b"{}")
    writer.close_source("things", SourceState("complete", rows=2, requests=1))
    writer.finish(T0, rejected=[Rejected("a.json", 3, "cut line")], rejected_rows=7, details={"k": "v"})


def test_a_finished_snapshot_reads_back_whole(tmp_path: Path) -> None:
    write_one(tmp_path)
    (snapshot,) = read_snapshots(tmp_path)
    assert (snapshot.kind, snapshot.started_at, snapshot.rejected_rows) == ("extract", "2026-11-16T00:00:00Z", 7)
    assert snapshot.sources["things"] == SourceState("complete", rows=2, requests=1)
    assert snapshot.rejected == (Rejected("a.json", 3, "cut line"),)
    (path,) = snapshot.files("things")
    assert list(read_lines(path)) == LINES
    assert snapshot.buckets["things"][0].rows == 2
    assert path.stat().st_mode & 0o777 == 0o600
    assert snapshot.folder.stat().st_mode & 0o777 == 0o700


def test_a_finished_snapshot_is_never_written_again(tmp_path: Path) -> None:
    write_one(tmp_path)
    with pytest.raises(ConfigError, match="finished"):
        SnapshotWriter(tmp_path, "extract-1", "extract", T0)


def test_a_killed_snapshot_is_continued_from_its_journal(tmp_path: Path) -> None:
    with SnapshotWriter(tmp_path, "extract-1", "extract", T0) as writer:
        writer.write("things", LINES[:1], "u1", name="things-all-00001", note={"chain": "things-all", "next": "u2"})
    with (tmp_path / "extract-1" / "journal.jsonl").open("ab") as journal:
        journal.write(b'{"event":"file","buck')  # the process died while writing this line
    assert read_snapshots(tmp_path) == []
    assert unfinished(tmp_path, "extract") == "extract-1"
    assert unfinished(tmp_path, "import") is None

    again = SnapshotWriter(tmp_path, "extract-1", "extract", datetime(2027, 1, 1))
    assert again.journal[-1]["next"] == "u2"
    again.write("things", LINES[1:], "u2", name="things-all-00002")
    snapshot = again.finish(datetime(2027, 1, 1))
    assert snapshot.started_at == "2026-11-16T00:00:00Z", "the first attempt's start counts"
    assert [line for path in snapshot.files("things") for line in read_lines(path)] == LINES


def test_a_collection_read_anew_counts_once(tmp_path: Path) -> None:
    writer = SnapshotWriter(tmp_path, "extract-1", "extract", T0)
    writer.write("things", LINES, "u1", name="things-all-00001")
    writer.restart("things", "things-all-")
    writer.write("things", LINES[:1], "u1", name="things-all-00001")
    snapshot = writer.finish(T0)
    assert sum(file.rows for file in snapshot.buckets["things"]) == 1


def test_an_empty_page_leaves_no_file_but_moves_the_journal_on(tmp_path: Path) -> None:
    with SnapshotWriter(tmp_path, "extract-1", "extract", T0) as writer:
        assert writer.write("things", [], "u1", note={"chain": "c", "next": "u2"}) == 0
    with SnapshotWriter(tmp_path, "extract-1", "extract", T0) as again:
        assert again.journal[-1]["next"] == "u2"
    assert list((tmp_path / "extract-1" / "things").iterdir()) == []


def test_records_with_line_breaks_stay_one_line(tmp_path: Path) -> None:
    writer = SnapshotWriter(tmp_path, "extract-1", "extract", T0)
    writer.write("things", [b'{\r\n "id": "a"\n}'], "u1")
    (path,) = writer.finish(T0).files("things")
    (line,) = read_lines(path)
    assert json.loads(line) == {"id": "a"}


@pytest.mark.parametrize("name", ["../evil", "a/b", "", ".hidden", "x" * 200])
def test_names_cannot_leave_the_snapshot(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError):
        SnapshotWriter(tmp_path, name or "..", "extract", T0)
    with SnapshotWriter(tmp_path, "ok", "extract", T0) as writer, pytest.raises(ConfigError):
        writer.write("things", LINES, "u", name=name or "..")


def test_a_broken_manifest_says_which_and_what_to_do(tmp_path: Path) -> None:
    write_one(tmp_path)
    (tmp_path / "extract-1" / "manifest.json").write_text("{")
    with pytest.raises(ConfigError, match=r"manifest\.json cannot be read.*run the extraction or import again"):
        read_snapshots(tmp_path)


def test_an_unknown_status_is_refused(tmp_path: Path) -> None:
    writer = SnapshotWriter(tmp_path, "extract-1", "extract", T0)
    with writer, pytest.raises(ConfigError, match="not a coverage status"):
        writer.close_source("things", SourceState("done"))
