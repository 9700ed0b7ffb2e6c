"""Importing log exports: every form of text, nothing twice, every refusal told, nothing lost."""

from __future__ import annotations

import gzip
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from importing import FIXTURES, NOW, Desk, call, ndjson, request_ids

from appgov_lib.errors import ConfigError
from appgov_lib.imports import content, import_paths, intake, lines, values

CALLS = [call(1), call(2), call(3)]
IDS = ["call-1", "call-2", "call-3"]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """An empty tenant."""
    return Desk(tmp_path)


# Forms of text

FORMS: dict[str, Callable[[], bytes]] = {
    "ndjson": lambda: ndjson(CALLS).encode(),
    "crlf": lambda: ndjson(CALLS, "\r\n").encode(),
    "no line end at the end": lambda: ndjson(CALLS).rstrip("\n").encode(),
    "blank lines": lambda: ndjson(CALLS, "\n\n \n").encode(),
    "bom": lambda: b"\xef\xbb\xbf" + ndjson(CALLS).encode(),
    "utf-16 le": lambda: b"\xff\xfe" + ndjson(CALLS).encode("utf-16-le"),
    "utf-16 be": lambda: b"\xfe\xff" + ndjson(CALLS).encode("utf-16-be"),
    "utf-16 le without bom": lambda: ndjson(CALLS).encode("utf-16-le"),
    "utf-16 be without bom": lambda: ndjson(CALLS).encode("utf-16-be"),
    "gz": lambda: gzip.compress(ndjson(CALLS).encode()),
    "gz of utf-16": lambda: gzip.compress(b"\xff\xfe" + ndjson(CALLS).encode("utf-16-le")),
    "gz in members, padded": lambda: b"".join(gzip.compress(ndjson([c]).encode()) for c in CALLS) + b"\0" * 40,
    "array on one line": lambda: json.dumps(CALLS).encode(),
    "array, pretty": lambda: json.dumps(CALLS, indent=2).encode(),
    "array, an item a line": lambda: ("[\n" + ",\n".join(map(json.dumps, CALLS)) + "\n]").encode(),
    "array, an item a line, bracket beside": lambda: ("[" + ",\r\n".join(map(json.dumps, CALLS)) + "]").encode(),
    "records on one line": lambda: json.dumps({"records": CALLS}).encode(),
    "records, pretty": lambda: json.dumps({"records": CALLS}, indent=1).encode(),
    "records, a batch a line": lambda: ndjson([{"records": CALLS[:2]}, {"Records": CALLS[2:]}]).encode(),
    "value page": lambda: json.dumps({"@odata.context": "x", "@odata.count": 3, "value": CALLS}, indent=1).encode(),
    "list after an object": lambda: json.dumps({"meta": {"a": 1}, "results": CALLS}, indent=1).encode(),
    "concatenated": lambda: "".join(map(json.dumps, CALLS)).encode(),
    "concatenated, pretty": lambda: "\n".join(json.dumps(c, indent=2) for c in CALLS).encode(),
    "two on one line of several": lambda: (ndjson([CALLS[0]]) + json.dumps(CALLS[1]) + json.dumps(CALLS[2])).encode(),
    "named list": lambda: json.dumps({"rule": "r", "tests": [{"n": 1, "log": c} for c in CALLS]}, indent=1).encode(),
    "nested lists": lambda: json.dumps({"batches": [{"events": [c]} for c in CALLS]}).encode(),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_brings_the_same_records(desk: Desk, form: str) -> None:
    imported = desk.one("export.bin", FORMS[form]())
    assert (imported.rows, imported.rejected_rows, dict(imported.reasons)) == (3, 0, {})
    assert request_ids(desk) == IDS
    assert desk.records("api_activity_diagnostic") == CALLS


@pytest.mark.parametrize("form", FORMS)
def test_the_size_of_a_block_does_not_matter(desk: Desk, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything that is cut at a block end is put together again; UTF-16 pairs and BOMs included."""
    monkeypatch.setattr(content, "BLOCK", 64)
    monkeypatch.setattr(intake, "FLUSH", 100)
    desk.one("export.json", FORMS[form]())
    assert request_ids(desk) == IDS


def test_bytes_are_kept_as_received(desk: Desk) -> None:
    line = b'{"category": "MicrosoftGraphActivityLogs",  "properties":{"requestId":"\\u00e9","b":1.50,"a":null}}'
    desk.one("a.ndjson", line + b"\r\n")
    assert desk.lines("api_activity_diagnostic") == [line]


def test_one_record_in_one_line_or_many(desk: Desk) -> None:
    assert desk.one("a.json", json.dumps(call(1))).rows == 1
    assert desk.one("b.json", json.dumps(call(2), indent=4)).rows == 1
    assert desk.one("c.json", json.dumps({"events": [{"o365audit": call(3)}]}, indent=4)).rows == 1


def test_an_empty_file_holds_nothing(desk: Desk) -> None:
    for name, text in {"a.json": "", "b.json": "[]", "c.json": '{"value":[]}', "d.json": "\n\n", "e.csv": ""}.items():
        imported = desk.one(name, text)
        assert (imported.rows, imported.rejected_rows) == (0, 0), name


def test_a_list_longer_than_a_value_may_be_is_read_item_by_item(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(values, "MAX_VALUE", 2000)
    monkeypatch.setattr(content, "BLOCK", 500)
    many = [call(n) for n in range(50)]
    assert desk.one("a.json", json.dumps({"meta": {"deep": [1]}, "list": many}, indent=1)).rows == 50
    assert desk.one("b.json", json.dumps(many, indent=1)).rows == 50


# CSV


def test_csv_rows_become_objects_of_strings(desk: Desk) -> None:
    imported = desk.one("a.csv", (FIXTURES / "log_analytics_sign_ins.csv").read_bytes())
    assert dict(imported.shapes) == {"sign_ins_log_analytics": 2}
    first = desk.records("sign_ins_log_analytics")[0]
    assert first["AppDisplayName"] == "=Ledger Sync"
    assert first["Status_dynamic"] == '{\n  "errorCode": 0\n}'
    assert first["ResultDescription"] == ""
    assert [(item.line, item.reason) for item in imported.rejected] == [(6, "impossible time")]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("preamble", ["", "sep={separator}\r\n", "#TYPE System.Object\r\n"])
def test_csv_dialects(desk: Desk, encoding: str, separator: str, preamble: str) -> None:
    head = separator.join(["Timestamp", "ApplicationId", "RequestUri"])
    row = separator.join(["2026-11-05T10:00:00Z", "app", '"a"",\nb"'])
    text = preamble.format(separator=separator) + f"{head}\r\n{row}\r\n"
    assert desk.one("a.csv", text.encode(encoding)).rows == 1
    assert desk.records("api_activity_hunting")[0]["RequestUri"] == 'a",\nb'


def test_a_csv_row_of_another_width_is_refused(desk: Desk) -> None:
    text = "Timestamp,ApplicationId,RequestUri\n2026-11-05T10:00:00Z,a,b\n2026-11-05T10:00:00Z,a,b,c\n2026-11-05T10:00"
    imported = desk.one("a.csv", text)
    assert imported.rows == 1
    assert [(item.line, item.reason) for item in imported.rejected] == [
        (3, "number of cells differs from the header: 4 instead of 3"),
        (4, "number of cells differs from the header: 1 instead of 3"),
    ]


def test_a_table_of_no_log_is_refused_as_a_whole(desk: Desk) -> None:
    imported = desk.one("a.csv", "Id,Value\n1,a\n2,b\n")
    assert (imported.rows, imported.rejected_rows, len(imported.rejected)) == (0, 2, 1)
    assert imported.rejected[0].reason == "unknown shape: no log table has these columns"
    assert desk.one("b.csv", "0.1,0\n0.2,1\n").rejected_rows == 2


def test_the_first_of_two_columns_of_one_name_counts(desk: Desk) -> None:
    desk.one("a.csv", "Timestamp,ApplicationId,RequestUri,RequestUri\n2026-11-05T10:00:00Z,a,first,second\n")
    assert desk.records("api_activity_hunting")[0]["RequestUri"] == "first"


# Never twice


def test_importing_twice_changes_nothing(desk: Desk) -> None:
    first = desk.take(FIXTURES)
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in files_in(desk)}
    again = desk.take(FIXTURES)
    assert {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in files_in(desk)} == before
    assert all(file.already_imported for file in again.files)
    assert not any(file.already_imported for file in first.files)
    assert again.rows == again.rejected_rows == 0
    assert first.rows > 20
    told = [(f.name, f.snapshot_id, dict(f.shapes), f.rejected_rows, dict(f.reasons), f.rejected) for f in first.files]
    assert told == [
        (f.name, f.snapshot_id, dict(f.shapes), f.rejected_rows, dict(f.reasons), f.rejected) for f in again.files
    ]


def files_in(desk: Desk) -> list[Path]:
    """Every file of the tenant's raw folder."""
    return sorted(path for path in desk.settings.raw_dir.rglob("*") if path.is_file())


def test_the_same_content_under_another_name_or_packed_is_the_same_import(desk: Desk) -> None:
    text = ndjson(CALLS).encode()
    paths = [desk.file("a.ndjson", text), desk.file("b.txt", text), desk.file("c.gz", gzip.compress(text, mtime=7))]
    result = desk.take(*paths)
    assert [file.already_imported for file in result.files] == [False, True, True]
    assert len({file.snapshot_id for file in result.files}) == 1
    assert result.rows == 3


def test_a_path_given_twice_is_read_once(desk: Desk) -> None:
    path = desk.file("a.ndjson", ndjson(CALLS))
    assert len(desk.take(path, desk.inbox, desk.inbox / "*.ndjson").files) == 1


def test_a_killed_import_starts_again(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    path = desk.file("a.ndjson", ndjson(CALLS))
    monkeypatch.setattr(intake, "FLUSH", 1)

    def killed(*_: object, **__: object) -> None:
        """Stop after the data files and before the manifest."""
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(intake.Intake, "finish", killed)
        with pytest.raises(KeyboardInterrupt):
            desk.take(path)
    assert desk.snapshots() == []
    assert desk.take(path).rows == 3
    assert request_ids(desk) == IDS


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    desks = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        desks.append(Desk(tmp_path / name))
        desks[-1].take(FIXTURES)
    left, right = ({p.relative_to(d.settings.raw_dir): p.read_bytes() for p in files_in(d)} for d in desks)
    assert left == right


# Paths


def test_all_paths_are_checked_before_anything_is_loaded(desk: Desk) -> None:
    good = desk.file("a.ndjson", ndjson(CALLS))
    for bad in (desk.inbox / "none.json", desk.inbox / "none*.json"):
        with pytest.raises(ConfigError, match="none"):
            desk.take(good, bad)
    assert not desk.settings.raw_dir.exists()


def test_folders_and_patterns(desk: Desk) -> None:
    desk.file("logs/y=2026/m=11/PT1H.json", ndjson([CALLS[0]]))
    desk.file("logs/b.csv.gz", gzip.compress(b"Timestamp,ApplicationId,RequestUri\n2026-11-05T10:00:00Z,a,b\n"))
    desk.file("logs/README.md", "# no log")
    result = desk.take(desk.inbox / "logs")
    assert [file.name for file in result.files] == ["b.csv.gz", "y=2026/m=11/PT1H.json"]
    assert [(item.name, item.reason) for item in result.skipped] == [
        ("README.md", "its name does not end like a log export")
    ]
    assert [file.name for file in desk.take(f"{desk.inbox}/logs/**/*.json").files] == ["y=2026/m=11/PT1H.json"]
    assert [file.name for file in desk.take(f"{desk.inbox}/l*s").files] == [
        "logs/b.csv.gz",
        "logs/y=2026/m=11/PT1H.json",
    ]
    assert desk.take(desk.inbox / "logs" / "README.md").files[0].reasons == {"unknown shape": 1}


def test_a_folder_without_exports_says_so(desk: Desk) -> None:
    desk.file("logs/README.md", "# no log")
    with pytest.raises(ConfigError, match="no log export"):
        desk.take(desk.inbox)


def test_links_are_followed_only_where_the_user_names_them(desk: Desk, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.json").write_text(ndjson(CALLS))
    desk.file("a.ndjson", ndjson([call(9)]))
    (desk.inbox / "link.json").symlink_to(outside / "secret.json")
    (desk.inbox / "folder").symlink_to(outside, target_is_directory=True)
    result = desk.take(desk.inbox)
    assert [file.name for file in result.files] == ["a.ndjson"]
    assert {item.name for item in result.skipped} == {"link.json", "folder"}
    assert desk.take(desk.inbox / "link.json").rows == 3


def test_what_is_no_file_is_refused(desk: Desk) -> None:
    os.mkfifo(desk.inbox / "pipe.json")
    with pytest.raises(ConfigError, match="not a regular file"):
        desk.take(desk.inbox / "pipe.json")
    (desk.inbox / "dangling").symlink_to(desk.inbox / "nowhere")
    with pytest.raises(ConfigError, match="symbolic link"):
        desk.take(desk.inbox / "dangling")


def test_an_unreadable_file_stops_the_import_before_it_starts(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    path = desk.file("a.ndjson", ndjson(CALLS))
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(ConfigError, match="may not be read"):
        desk.take(path)


def test_a_file_that_fails_while_it_is_read_is_one_sentence(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    path = desk.file("a.ndjson", ndjson(CALLS))

    def fails(*_: object) -> None:
        """An input that cannot be read."""
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("appgov_lib.imports.load.measure", fails)
    with pytest.raises(ConfigError, match=r"stopped at a\.ndjson: Input/output error"):
        desk.take(path)


def test_names_are_made_harmless(desk: Desk) -> None:
    path = desk.inbox / "a\x1b[31m\n.ndjson"
    path.write_text(ndjson(CALLS) + "{")
    (imported,) = desk.take(path).files
    assert imported.name == "a?[31m?.ndjson"
    assert imported.rejected[0].file == imported.name


def test_progress_and_plain_values(desk: Desk) -> None:
    said: list[str] = []
    result = import_paths([desk.file("a.ndjson", ndjson(CALLS) + "x\n")], desk.settings, NOW, progress=said.append)
    assert said == ["Importing a.ndjson (1 of 1)"]
    plain = json.loads(json.dumps(result.as_dict()))
    assert (plain["rows"], plain["rejected_rows"]) == (3, 1)
    assert plain["files"][0]["rejected"] == [{"file": "a.ndjson", "line": 4, "reason": "not valid JSON"}]


def test_what_is_written_is_private(desk: Desk) -> None:
    desk.one("a.ndjson", ndjson(CALLS))
    for path in [desk.settings.raw_dir, *desk.settings.raw_dir.rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)


def test_the_manifest_tells_the_span_and_what_was_lost(desk: Desk) -> None:
    late = call(2, time="2026-11-09T23:59:59.9999999Z")
    desk.one("a.ndjson", ndjson([call(1), late, {"category": "RiskyUsers", "properties": {}}]))
    (snapshot,) = desk.snapshots()
    state = snapshot.sources["api_activity_diagnostic"]
    assert (state.status, state.rows) == ("partial", 2)
    assert (state.from_at, state.to_at) == ("2026-11-02T10:00:00Z", "2026-11-09T23:59:59Z")
    assert snapshot.details["reasons"] == {"category not used: RiskyUsers": 1}
    assert snapshot.details["input"] == "a.ndjson"


def test_long_lines_are_skipped_and_said(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "MAX_LINE", 300)
    monkeypatch.setattr(content, "BLOCK", 64)
    imported = desk.one("a.ndjson", ndjson([call(1), call(2, pad="x" * 5000), call(3)]))
    assert request_ids(desk) == ["call-1", "call-3"]
    assert [(item.line, item.reason[:15]) for item in imported.rejected] == [(2, "record too long")]
