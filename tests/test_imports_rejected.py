"""What cannot be used is told with file, line and reason; what is hostile breaks neither the import nor DuckDB."""

from __future__ import annotations

import gzip
import json
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from importing import FIXTURES, Desk, call, ndjson, request_ids

from appgov_lib.imports import content, intake, times
from appgov_lib.imports.reasons import Reason, plain
from appgov_lib.imports.records import MAX_DEPTH, Record, judge
from appgov_lib.store.models import prepare

GOOD = json.dumps(call(1))


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """An empty tenant."""
    return Desk(tmp_path)


def nested(depth: int) -> str:
    """A record with `depth` levels of lists inside."""
    return GOOD[:-1] + ', "deep": ' + "[" * depth + "]" * depth + "}"


LINES: dict[str, tuple[str | bytes, str | None]] = {
    "cut in the middle of the file": (GOOD[:40], "not valid JSON"),
    "words": ("not json", "not valid JSON"),
    "a number": ("5", "not a JSON object"),
    "a text": ('"x"', "not a JSON object"),
    "a trailing comma": ('{"a": 1,}', "not valid JSON"),
    "a control character": (GOOD.replace("app", "a\x01b"), "not valid JSON"),
    "a zero byte": (GOOD.encode().replace(b"app", b"a\x00b"), "not valid JSON"),
    "a zero byte escaped": (GOOD.replace("app", "a\\u0000b"), None),
    "half a surrogate pair": (GOOD.replace("app", "\\ud800"), "not valid JSON"),
    "a whole surrogate pair": (GOOD.replace("app", "\\ud83d\\ude00"), None),
    "bytes that are not UTF-8": (GOOD.encode().replace(b"app", b"a\xff"), "text that is not UTF-8"),
    "letters beyond ASCII": (GOOD.replace("app", "Blåbær"), None),
    "nesting that is deep": (nested(MAX_DEPTH - 1), None),
    "nesting that is too deep": (nested(MAX_DEPTH), "nested too deeply"),
    "nesting that is absurd": (nested(100_000), "nested too deeply"),
    "brackets inside a text": (GOOD.replace("app", "[" * 500), None),
    "a name twice": (GOOD.replace('"time"', '"time": "2026-11-02T10:00:00Z", "time"'), None),
    "a huge number": (GOOD[:-1] + ', "n": ' + "9" * 5000 + "}", None),
    "a number beyond doubles": (GOOD[:-1] + ', "n": 1e99999}', None),
    "not a number": (GOOD[:-1] + ', "n": NaN}', "not valid JSON"),
    "properties that are text": (json.dumps({"category": "AuditLogs", "properties": "{}"}), "unknown shape: prop"),
    "an empty object": ("{}", "unknown shape"),
    "65 seconds": (json.dumps(call(1, time="2026-11-02T10:00:65Z")), "impossible time"),
    "the 31st of November": (json.dumps(call(1, time="2026-11-31T10:00:00Z")), "impossible time"),
    "a time that is a number": (json.dumps(call(1, time=1762077600)), "impossible time"),
    "the year 1900": (json.dumps(call(1, time="1900-01-01T00:00:00Z")), "impossible time"),
    "no time": (json.dumps({k: v for k, v in call(1).items() if k != "time"}), None),
}


@pytest.mark.parametrize("case", LINES)
def test_one_odd_line_costs_one_record(desk: Desk, case: str) -> None:
    line, reason = LINES[case]
    raw = line if isinstance(line, bytes) else line.encode()
    imported = desk.one("a.ndjson", b"\n".join([json.dumps(call(7)).encode(), raw, json.dumps(call(8)).encode(), b""]))
    if reason is None:
        assert (imported.rows, imported.rejected_rows) == (3, 0)
        assert desk.lines("api_activity_diagnostic")[1] == raw
    else:
        assert [(item.line, item.reason[: len(reason)]) for item in imported.rejected] == [(2, reason)]
        assert request_ids(desk) == ["call-7", "call-8"]
    assert_duckdb_reads(desk)


def assert_duckdb_reads(desk: Desk) -> None:
    """DuckDB reads every record that was kept, none of them lost."""
    for snapshot in desk.snapshots():
        for bucket, files in snapshot.buckets.items():
            rows = duckdb.execute(
                "SELECT count(*) FROM read_json($files, format = 'newline_delimited', "
                "columns = {id: 'VARCHAR', deep: 'JSON', n: 'VARCHAR'})",
                {"files": [str(path) for path in snapshot.files(bucket)]},
            ).fetchall()[0][0]
            assert rows == sum(file.rows for file in files)


def test_the_last_line_may_be_cut(desk: Desk) -> None:
    imported = desk.one("a.ndjson", ndjson([call(1), call(2)]) + GOOD[:50])
    assert imported.rows == 2
    assert [(item.line, item.reason) for item in imported.rejected] == [(3, "the file ends inside this record")]


def test_a_cut_list_gives_what_came_before(desk: Desk) -> None:
    for name, text in {
        "array.json": json.dumps([call(1), call(2), call(3)], indent=1),
        "page.json": json.dumps({"value": [call(4), call(5), call(6)]}, indent=1),
        "line.json": json.dumps({"value": [call(7), call(8), call(9)]}),
    }.items():
        imported = desk.one(name, text[:-60])
        assert imported.rows == 2, name
        assert [item.reason.split(":")[0] for item in imported.rejected] == ["the file ends inside this record"], name


def test_a_broken_item_does_not_hide_the_next(desk: Desk) -> None:
    text = json.dumps([call(1), call(2), call(3)], indent=1).replace('"call-2"', "call-2")
    imported = desk.one("a.json", text)
    assert request_ids(desk) == ["call-1", "call-3"]
    assert [(item.line, item.reason) for item in imported.rejected] == [(2, "not valid JSON")]
    pretty = "\n".join(json.dumps(call(n), indent=1) for n in (4, 5, 6)).replace('"call-5"', "call-5")
    assert desk.one("b.json", pretty).rows == 2


def test_packed_data_that_is_cut_or_damaged(desk: Desk) -> None:
    text = ndjson([call(n) for n in range(20_000)]).encode()
    packed = gzip.compress(text)
    cut = desk.one("a.gz", packed[: len(packed) // 2])
    assert 5_000 < cut.rows < 15_000
    assert {item.reason for item in cut.rejected} >= {"the compressed data is damaged from here on"}
    torn = desk.one("b.gz", packed[:5000] + b"\xff" * 100 + packed[5100:])
    assert torn.rows < 20_000
    assert torn.rejected_rows >= 1
    assert desk.one("c.csv.gz", gzip.compress((FIXTURES / "hunting.csv").read_bytes())[:-9]).rejected_rows == 1
    assert desk.one("d.gz", b"\x1f\x8b").rejected_rows == 1


def test_a_bomb_is_not_unpacked_to_the_end(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(content, "PLAUSIBLE_SIZE", 1 << 20)
    imported = desk.one("a.json.gz", gzip.compress(b"[" + b" " * (64 << 20)))
    assert (imported.rows, imported.rejected_rows) == (0, 1)
    assert imported.rejected[0].reason.startswith("the file unpacks to an implausible size")


@pytest.mark.parametrize("head", [b"PK\x03\x04", b"\x89PNG\r\n\x1a\n\0\0\0", b"\0" * 100, b"\xff\xfe\0\0{\0\0\0"])
def test_a_file_that_is_no_text(desk: Desk, head: bytes) -> None:
    imported = desk.one("a.json", head + b"\0\1\2\3" * 50)
    assert [item.reason for item in imported.rejected] == ["the file is not text"]


def test_every_refusal_is_counted_and_the_list_is_bounded(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "MAX_REJECTED_LISTED", 5)
    imported = desk.one("a.ndjson", GOOD + "\n" + "x\n" * 20)
    assert (imported.rows, imported.rejected_rows, len(imported.rejected)) == (1, 20, 5)


def test_hostile_categories_are_made_harmless_and_bounded(desk: Desk) -> None:
    odd = ["<script>", "=cmd()", "a\x1b[2J", "x" * 5000, "c'; DROP TABLE x; --"]
    odd += [f"Kind{n}" for n in range(200)]
    imported = desk.one("a.ndjson", ndjson({"category": c, "properties": {}} for c in odd))
    assert imported.rejected_rows == len(odd)
    assert len(imported.reasons) <= intake.MAX_REASONS + 1
    assert sum(imported.reasons.values()) == len(odd)
    for item in imported.rejected:
        name = item.reason.removeprefix("category not used: ")
        assert name == plain(name)
        assert not set(name) & set("<>=\x1b'\";()")
        assert len(name) <= 60


@pytest.mark.parametrize(
    ("fixture", "reasons"),
    {
        "diagnostic_not_used.ndjson": [
            "category not used: RiskyUsers",
            "category not used: ?img src?x onerror?alert?1??",
            "record of another product: Azure activity log",
        ],
        "graph_page.json": ["placeholder without any identifier", "directory object, not a log record"],
        "hunting.json": ["unknown shape"],
        "log_analytics_not_used.ndjson": ["category not used: Heartbeat"],
        "log_analytics_query.json": ["category not used: Usage"],
        "other_product.ndjson": ["record of another product: Defender for Cloud Apps activity"],
        "purview.csv": ["not valid JSON"],
        "unified_audit.ndjson": ["impossible time"],
    }.items(),
)
def test_reasons_of_the_fixtures(desk: Desk, fixture: str, reasons: list[str]) -> None:
    (imported,) = desk.take(FIXTURES / fixture).files
    assert [item.reason for item in imported.rejected] == reasons


def test_several_records_in_a_line_are_told_apart(desk: Desk) -> None:
    imported = desk.one("a.ndjson", ndjson([{"records": [call(1), {"x": 1}]}, call(2)]))
    assert [(item.line, item.reason) for item in imported.rejected] == [(1, "unknown shape: record 2 of the line")]


def test_no_row_data_in_a_reason(desk: Desk) -> None:
    secret = "hunter2@example.com"
    for number, text in enumerate([f'{{"a": "{secret}"', f'{{"k": "{secret}"}}', secret, f'{{"{secret}": 1}}']):
        imported = desk.one(f"{number}.ndjson", GOOD + "\n" + text + "\n")
        assert imported.rejected_rows == 1
        assert secret not in repr(imported)


# Anything at all

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
NAMES = ["category", "properties", "Type", "CreationTime", "Operation", "TimeGenerated", "value", "records", "tables",
         "AuditData", "time", "isInteractive", "createdDateTime", "RequestUri", "ApplicationId", "id"]  # fmt: skip
RECORDS = st.dictionaries(st.sampled_from(NAMES), JSON | st.sampled_from(["AuditLogs", "x", "2026-11-02T10:00:00Z"]))


@given(
    st.binary(max_size=200) | JSON.map(lambda v: json.dumps(v).encode()) | RECORDS.map(lambda v: json.dumps(v).encode())
)
@settings(deadline=None, max_examples=300)
def test_judge_takes_any_bytes(raw: bytes) -> None:
    for outcome in judge(raw):
        if isinstance(outcome, Record):
            assert duckdb.execute("SELECT json_valid(?)", [outcome.line.decode()]).fetchall() == [(True,)]
        else:
            assert outcome.reason in set(Reason)


@given(st.lists(RECORDS | JSON, max_size=6), st.sampled_from([None, 1]), st.integers(0, 40), st.booleans())
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_file_is_read_to_its_end(
    tmp_path_factory: pytest.TempPathFactory, items: list[Any], indent: int | None, cut: int, whole: bool
) -> None:
    desk = Desk(tmp_path_factory.mktemp("any"))
    text = json.dumps(items, indent=indent) if whole else "\n".join(json.dumps(i, indent=indent) for i in items)
    imported = desk.one("a.json", text[: len(text) - cut] if cut else text)
    assert sum(imported.reasons.values()) == imported.rejected_rows
    assert_duckdb_reads(desk)


@given(st.lists(st.lists(st.text(max_size=5), max_size=4), max_size=6), st.binary(max_size=30))
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_table_is_read_to_its_end(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]], rest: bytes
) -> None:
    desk = Desk(tmp_path_factory.mktemp("any"))
    text = "Timestamp,ApplicationId,RequestUri\n" + "\n".join(",".join(row) for row in rows)
    imported = desk.one("a.csv", text.encode("utf-8", "replace") + rest)
    assert sum(imported.reasons.values()) == imported.rejected_rows
    assert_duckdb_reads(desk)


# Times

TIMES = {
    "2026-11-02T10:00:00Z": "2026-11-02T10:00:00",
    "2026-11-02T10:00:00.1234567Z": "2026-11-02T10:00:00",
    "2026-11-02 10:00:00.983201900": "2026-11-02T10:00:00",
    "2026-11-02T10:00:00.5+00:00": "2026-11-02T10:00:00",
    "2026-11-02T10:00:00+02:00": "2026-11-02T08:00:00",
    "2026-11-02T10:00:00-8:00": "2026-11-02T18:00:00",
    "2026-11-02T10:00Z": "2026-11-02T10:00:00",
    "11/2/2026, 10:00:00.123 PM": "2026-11-02T22:00:00",
    "11/2/2026, 12:00:00 AM": "2026-11-02T00:00:00",
    "11/2/2026, 1:00:00\u202fPM": "2026-11-02T13:00:00",
    "Nov 2, 2026 1:00:00 PM": "2026-11-02T13:00:00",
    "2024-02-29T00:00:00Z": "2024-02-29T00:00:00",
    "2023-02-29T00:00:00Z": None,
    "2026-11-02T24:00:00Z": None,
    "2026-11-02T10:60:00Z": None,
    "2026-13-02T10:00:00Z": None,
    "13/11/2026, 10:00:00 PM": None,
    "2/11/2026 22:00": None,
    "0001-01-01T00:00:00Z": None,
    "1999-12-31T23:59:59Z": None,
    "20261102T100000": None,
    "2026-11-02": None,
    "yesterday": None,
    "٢٠٢٦-11-02T10:00:00Z": None,
}


@pytest.mark.parametrize("text", TIMES)
def test_times(text: str) -> None:
    assert times.stamp(text) == TIMES[text]
    moment = times.parse(text)
    assert (moment.isoformat(timespec="seconds") if moment else None) == TIMES[text]


@lru_cache
def macros() -> duckdb.DuckDBPyConnection:
    """A connection that knows the models' macros."""
    con = duckdb.connect()
    con.execute("SET TimeZone = 'UTC'")
    prepare(con)
    return con


@given(
    st.datetimes(datetime(2000, 1, 2), datetime(2100, 1, 1)),
    st.sampled_from(["T", " "]),
    st.integers(0, 9),
    st.sampled_from(["", "Z", "+00:00", "-00:00", "+05:30", "-8:00"]),
)
@settings(deadline=None, max_examples=200)
def test_the_models_read_the_same_moment(moment: datetime, gap: str, decimals: int, zone: str) -> None:
    fraction = f".{moment.microsecond:06d}000"[: decimals + 1] if decimals else ""
    text = moment.strftime(f"%Y-%m-%d{gap}%H:%M:%S") + fraction + zone
    (read,) = macros().execute("SELECT to_utc(?)", [text]).fetchall()[0]
    parsed = times.parse(text)
    assert parsed is not None
    assert abs(read - parsed) < timedelta(microseconds=2)
    assert times.stamp(text) == parsed.isoformat(timespec="seconds")
