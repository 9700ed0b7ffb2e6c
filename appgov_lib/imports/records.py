"""From one JSON value to the records in it: what fits a log goes to its bucket, what does not gets a reason.

Wrappers are opened only where the value itself is no record, in this order:
an array; the answer of a Log Analytics query (`tables` with `columns` and `rows`); an object with an array in
`value`, `records` or `results` (any capitals); the audit record inside `AuditData`; an object with exactly one
array of objects; an object with exactly one object in it. The last two are guesses: where nothing inside is of a
known kind, the whole value is one record of unknown shape, unless it is a document with one list.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import msgspec

from appgov_lib.imports.reasons import Reason, Refusal
from appgov_lib.imports.shapes import Placed, Probe, place, probe

MAX_RECORD = 8 << 20
"""Longest record in bytes; DuckDB refuses a file with a longer one than 16 MiB."""

MAX_DEPTH = 100
"""Deepest nesting of one record; DuckDB refuses a file with more than 128."""

MAX_WRAPPERS = 4
"""Wrappers opened around one record."""

_CONTAINERS = frozenset({"value", "records", "results"})
_STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_objects = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_array = msgspec.json.Decoder(list[msgspec.Raw]).decode
_text = msgspec.json.Decoder(str).decode


class _Column(msgspec.Struct):
    """A column of a query answer."""

    name: str


class _Table(msgspec.Struct):
    """One table of a Log Analytics query answer."""

    columns: list[_Column]
    rows: list[list[msgspec.Raw]]


_tables = msgspec.json.Decoder(list[_Table]).decode


@dataclass(frozen=True, slots=True)
class Record:
    """A record that is of use: where it goes, its bytes, and its time."""

    bucket: str
    line: bytes
    at: str | None


def judge(raw: bytes, *, document: bool = False) -> Iterator[Record | Refusal]:
    """Yield every record in one JSON value, or why there is none; never raises for any bytes.

    `document` says that the value goes over several lines of a file, so a list in it is a list of records.
    """
    try:
        raw.decode()
    except UnicodeDecodeError:
        yield Refusal(Reason.NOT_UTF8)
        return
    try:
        yield from _judge(raw.strip(), 0, document)
    except RecursionError:
        yield Refusal(Reason.TOO_DEEP)


def too_deep(line: bytes) -> bool:
    """Whether the JSON text `line` is nested deeper than `MAX_DEPTH`."""
    if line.count(b"{") + line.count(b"[") <= MAX_DEPTH:
        return False
    depth = deepest = 0
    for sign in re.findall(rb"[\[{}\]]", _STRINGS.sub(b"", line)):
        depth += 1 if sign in b"[{" else -1
        deepest = max(deepest, depth)
    return deepest > MAX_DEPTH


def _judge(raw: bytes, level: int, document: bool = False) -> Iterator[Record | Refusal]:
    """Judge one JSON value inside `level` wrappers."""
    if raw.startswith(b"["):
        items = _decoded(raw)
        if isinstance(items, Refusal) or level == MAX_WRAPPERS:
            yield items if isinstance(items, Refusal) else Refusal(Reason.UNKNOWN_SHAPE)
            return
        yield from _judge_all(items, level + 1)
        return
    if not raw.startswith(b"{"):
        yield Refusal(Reason.NOT_OBJECT if is_json(raw) else Reason.NOT_JSON)
        return
    verdict = placed(raw)
    if not isinstance(verdict, Refusal):
        yield _bounded(raw, verdict)
    elif verdict.reason is not Reason.UNKNOWN_SHAPE or verdict.detail or level == MAX_WRAPPERS:
        yield verdict
    else:
        yield from _unwrap(raw, level, verdict, document)


def placed(line: bytes) -> Placed | Refusal:
    """Decode the telling fields of one JSON object and place it."""
    try:
        record: Probe = probe(line)
    except RecursionError:
        return Refusal(Reason.TOO_DEEP)
    except msgspec.ValidationError:
        return Refusal(Reason.UNKNOWN_SHAPE, "properties is not an object")
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Refusal(Reason.NOT_JSON)
    return place(record)


def _bounded(raw: bytes, verdict: Placed) -> Record | Refusal:
    """Refuse a record that DuckDB could not read back."""
    if len(raw) > MAX_RECORD:
        return Refusal(Reason.TOO_LONG, f"more than {MAX_RECORD >> 20} MB")
    if too_deep(raw):
        return Refusal(Reason.TOO_DEEP)
    return Record(verdict[0], raw, verdict[1])


def _decoded(raw: bytes) -> list[bytes] | Refusal:
    """Items of a JSON array, as received."""
    try:
        return [bytes(item) for item in _array(raw)]
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Refusal(Reason.NOT_JSON)


def is_json(raw: bytes) -> bool:
    """Whether `raw` is a JSON value at all."""
    try:
        msgspec.json.decode(raw, type=msgspec.Raw)
    except RecursionError:
        return True  # well formed as far as anybody looked; `judge` refuses it
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return True


def _judge_all(items: Iterable[bytes], level: int) -> Iterator[Record | Refusal]:
    """Judge the items of a container one by one."""
    for item in items:
        yield from _judge(item.strip(), level)


def _unwrap(raw: bytes, level: int, verdict: Refusal, document: bool) -> Iterator[Record | Refusal]:
    """Open one wrapper; `verdict` is the answer where there is none."""
    fields = _objects(raw)
    if "tables" in fields and bytes(fields["tables"]).startswith(b"["):
        rows = _query_rows(fields["tables"])
        if rows is not None:
            yield from _judge_all(rows, level + 1)
            return
    for name, value in fields.items():
        if name.lower() in _CONTAINERS and bytes(value).startswith(b"["):
            yield from _judge(bytes(value), level)
            return
    inner = _audit_data(fields)
    if inner is not None:
        yield from _judge(inner, level + 1)
        return
    guesses = _guess(fields)
    if guesses is None:
        yield verdict
        return
    judged = list(_judge_all(guesses, level + 1))
    known = (document and len(guesses) > 1) or any(
        not (isinstance(item, Refusal) and item.reason in _NO_RECORD) for item in judged
    )
    yield from judged if known else [verdict]


_NO_RECORD = frozenset({Reason.UNKNOWN_SHAPE, Reason.NOT_OBJECT, Reason.NOT_JSON, Reason.NOT_A_LOG})
"""Verdicts that do not confirm a guessed wrapper."""


def _query_rows(tables: msgspec.Raw) -> list[bytes] | None:
    """Rows of a query answer as JSON objects; None where `tables` is something else."""
    try:
        found = _tables(tables)
    except msgspec.DecodeError:
        return None
    return [
        msgspec.json.encode({column.name: value for column, value in zip(table.columns, row, strict=False)})
        for table in found
        for row in table.rows
    ]


def _audit_data(fields: dict[str, msgspec.Raw]) -> bytes | None:
    """Return the audit record inside a Purview export row (JSON as text) or a Graph audit query record (an object)."""
    for name in ("AuditData", "auditData"):
        value = bytes(fields.get(name, b""))
        if value.startswith(b'"'):
            return _text(value).strip().encode()
        if value.startswith(b"{"):
            return value
    return None


def _guess(fields: dict[str, msgspec.Raw]) -> list[bytes] | None:
    """Content of the only array of objects, else of the only object; None where there is no such single field."""
    arrays = [value for value in map(bytes, fields.values()) if re.match(rb"\[\s*\{", value)]
    if arrays:
        return [bytes(item) for item in _array(arrays[0])] if len(arrays) == 1 else None
    inner = [value for value in map(bytes, fields.values()) if value.startswith(b"{")]
    return inner if len(inner) == 1 else None


def named(refusal: Refusal, place_in_line: int) -> Refusal:
    """Say which record of a line is meant, where a line holds several."""
    detail = f"record {place_in_line} of the line"
    return replace(refusal, detail=f"{refusal.detail}, {detail}" if refusal.detail else detail)
