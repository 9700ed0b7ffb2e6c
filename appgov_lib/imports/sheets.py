"""Rows of a CSV export as JSON objects of strings, under the column names of the file."""

from __future__ import annotations

import csv
from collections.abc import Iterator

import msgspec

from appgov_lib.imports.lines import MAX_LINE, Batch, batches
from appgov_lib.imports.reasons import Reason, Refusal
from appgov_lib.imports.records import placed

csv.field_size_limit(MAX_LINE)  # the default of 128 KB is less than one audit record

_ROW_WRAPPERS = frozenset({"AuditData", "auditData"})
"""Columns that hold a whole record, so the other columns need not be known."""


class CsvRows:
    """Iterates over the rows of a CSV file; each comes with the number of its first line."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        """Start at the first block; nothing is read yet."""
        self._batches = batches(blocks)
        self._line = 0
        self._broken: Refusal | None = None

    def __iter__(self) -> Iterator[tuple[int, bytes | Refusal]]:
        """Yield `(line, row)` or `(line, refusal)`; a table with an unknown header is refused as a whole."""
        yield from self._table()
        if self._broken is not None:
            yield self._line + 1, self._broken

    def _table(self) -> Iterator[tuple[int, bytes | Refusal]]:
        """Yield what the lines hold, without saying how the file ended."""
        texts = self._texts()
        header_line = next((text for text in texts if not _is_preamble(text)), "")
        if not header_line:
            return
        delimiter = _delimiter(header_line)
        names = next(([name.strip() for name in row] for row in self._rows(iter([header_line]), delimiter) if row), [])
        rows = self._rows(texts, delimiter)
        first = self._line + 1
        if not known_columns(names):
            # A table of bare numbers has no header: its first line is a row like the others.
            count = sum(1 for row in rows if row != []) + any(_is_number(name) for name in names)
            yield 1, Refusal(Reason.UNKNOWN_SHAPE, "no log table has these columns", rows=max(count, 1))
            return
        for row in rows:
            if row is None:
                yield first, Refusal(Reason.NOT_CSV)
            elif row:
                yield first, _object(names, row)
            first = self._line + 1

    def _rows(self, texts: Iterator[str], delimiter: str) -> Iterator[list[str] | None]:
        """Rows of CSV text; None for one that cannot be read, e.g. with a bare carriage return."""
        reader = csv.reader(texts, delimiter=delimiter)
        while True:
            try:
                yield next(reader)
            except StopIteration:
                return
            except csv.Error:
                yield None

    def _texts(self) -> Iterator[str]:
        """Lines as text with their line ends, which belong to cells that go over several lines."""
        for batch in self._batches:
            for line in batch.lines:
                self._line += 1
                yield line.decode("utf-8", "surrogateescape") + "\n"
            self._note(batch)

    def _note(self, batch: Batch) -> None:
        """Remember why the file ends early, or what line is missing from it."""
        if batch.too_long:
            self._line += 1
            self._broken = Refusal(Reason.TOO_LONG, f"line {self._line} has more than {MAX_LINE >> 20} MB")
        if batch.damaged:
            self._broken = Refusal(Reason.DAMAGED)


def known_columns(names: list[str]) -> bool:
    """Whether a header can belong to a log table: its columns, or a column that holds whole records, are known."""
    if _ROW_WRAPPERS.intersection(names):
        return True
    try:
        verdict = placed(msgspec.json.encode(dict.fromkeys(names, "")))
    except UnicodeEncodeError:
        return False
    if "Type" in names and any(name.startswith("TimeGenerated") for name in names):
        return True
    return not (isinstance(verdict, Refusal) and verdict.reason is Reason.UNKNOWN_SHAPE)


def _is_number(text: str) -> bool:
    """Whether a header cell is a number, so the line is no header."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def _is_preamble(line: str) -> bool:
    """Whether a line stands before the header: blank, PowerShell's type line, or Excel's separator line."""
    return not line.strip() or line.startswith(("#TYPE ", '"sep=', "sep="))


def _delimiter(header: str) -> str:
    """Return the separator that cuts the header into most columns: comma, semicolon or tab."""
    return max((",", ";", "\t"), key=header.count)


def _object(names: list[str], row: list[str]) -> bytes | Refusal:
    """Write one row as a JSON object; the first of two columns of one name counts."""
    if len(row) != len(names):
        return Refusal(Reason.CELLS, f"{len(row)} instead of {len(names)}")
    try:
        record = dict(zip(names, row, strict=True))
        if len(record) < len(names):
            record = dict(zip(reversed(names), reversed(row), strict=True))
        return msgspec.json.encode(record)
    except UnicodeEncodeError:
        return Refusal(Reason.NOT_UTF8)
