"""The three forms of text a log export comes in, told apart by how it starts: a record a line, other JSON, CSV."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from appgov_lib.imports.content import DamagedError, Measured, text_blocks
from appgov_lib.imports.intake import Intake
from appgov_lib.imports.lines import MAX_LINE, Batch, batches
from appgov_lib.imports.reasons import Reason, Refusal
from appgov_lib.imports.records import MAX_RECORD, Record, is_json, judge, named, too_deep
from appgov_lib.imports.shapes import place, probe
from appgov_lib.imports.sheets import CsvRows
from appgov_lib.imports.values import JsonValues

_LOOK_AHEAD = 5
"""Lines after a first one that is no JSON that are looked at before a text is taken for a document."""


def read(intake: Intake, path: Path, known: Measured) -> None:
    """Read every record of a file into `intake`; raises `OSError` where the file cannot be read to its end."""
    try:
        head = next(text_blocks(path, known.encoding), b"")
    except DamagedError:
        head = b""
    blocks = text_blocks(path, known.encoding)
    match form_of(head, known.size):
        case "lines":
            _read_lines(intake, blocks)
        case "values":
            _read_values(intake, blocks)
        case _:
            _read_rows(intake, blocks)


def form_of(head: bytes, size: int) -> str:
    """Tell the form of a text of `size` bytes by its first block: `lines`, `values` or `rows`.

    `lines`: the first line is a JSON value by itself, or, where it is broken, a later line is. `values`: anything
    else that starts with a bracket. `rows`: the rest, which is CSV if it is anything.
    """
    text = head.lstrip(b" \t\r\n")
    if not text.startswith((b"{", b"[")):
        return "rows"
    lines = [line.strip() for line in text.split(b"\n", _LOOK_AHEAD + 1)]
    if len(lines) == 1:
        return "lines" if size <= MAX_LINE else "values"
    if is_json(lines[0]):
        return "lines"
    opens_document = len(lines[0]) == 1 or lines[0].endswith((b",", b"[", b"{", b":"))
    whole = lines[1:-1] if len(lines) > 2 else lines[1:]
    if not opens_document and any(line.startswith(b"{") and is_json(line) for line in whole):
        return "lines"
    return "values"


def _read_lines(intake: Intake, blocks: Iterator[bytes]) -> None:
    """Read a record a line. Most lines need one pass by the probe; the rest go the long way."""
    for batch in batches(blocks):
        last = len(batch.lines) - 1
        for offset, line in enumerate(batch.lines):
            if line[-1:] == b"\r":
                line = line[:-1]
            if batch.valid and len(line) <= MAX_RECORD:
                try:
                    verdict = place(probe(line))
                except (msgspec.DecodeError, RecursionError):
                    verdict = None
                if type(verdict) is tuple and not too_deep(line):
                    intake.keep(verdict[0], line, verdict[1])
                    continue
            if line and not line.isspace():
                _read_odd_line(intake, batch.first + offset, line, cut=batch.unfinished and offset == last)
        _note(intake, batch)


def _note(intake: Intake, batch: Batch) -> None:
    """Report a line that was too long to keep, and an end that came too early."""
    if batch.too_long:
        intake.refuse(batch.first, Refusal(Reason.TOO_LONG, f"more than {MAX_LINE >> 20} MB in one line"))
    if batch.damaged:
        intake.refuse(batch.first + len(batch.lines), Refusal(Reason.DAMAGED))


def _read_odd_line(intake: Intake, number: int, line: bytes, *, cut: bool) -> None:
    """Read a line that is not simply one record: a wrapper, several values, or no JSON at all."""
    if is_json(line):
        found = list(judge(line))
    else:
        found = []
        for value in JsonValues(iter([line])):
            if isinstance(value, bytes):
                found += judge(value)
            elif value.reason is Reason.CUT and not cut:
                found.append(Refusal(Reason.NOT_JSON))
            else:
                found.append(value)
    for place_in_line, outcome in enumerate(found, 1):
        if isinstance(outcome, Record):
            intake.keep(outcome.bucket, outcome.line, outcome.at)
        else:
            intake.refuse(number, named(outcome, place_in_line) if len(found) > 1 else outcome)


def _read_values(intake: Intake, blocks: Iterator[bytes]) -> None:
    """Read a JSON text that goes over several lines; records are numbered as they come."""
    values, number = JsonValues(blocks), 0
    for value in values:
        for outcome in judge(value, document=True) if isinstance(value, bytes) else [value]:
            number += 1
            if isinstance(outcome, Record):
                intake.keep(outcome.bucket, outcome.line, outcome.at)
            else:
                intake.refuse(number, outcome)
    if values.damaged:
        intake.refuse(number + 1, Refusal(Reason.DAMAGED))


def _read_rows(intake: Intake, blocks: Iterator[bytes]) -> None:
    """Read CSV; a row is numbered by its first line."""
    for number, row in CsvRows(blocks):
        for outcome in judge(row) if isinstance(row, bytes) else [row]:
            if isinstance(outcome, Record):
                intake.keep(outcome.bucket, outcome.line, outcome.at)
            else:
                intake.refuse(number, outcome)
