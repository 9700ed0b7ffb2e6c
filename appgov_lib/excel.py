"""Tables as an Excel workbook: frozen headings, filters, texts that stay texts whatever they start with.

xlsxwriter makes the book; only the rows are written here, a column at a time. Cell by cell, the books of a tenant of
twenty thousand apps would take a minute.
"""

from __future__ import annotations

import datetime as dt
import io
import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import xlsxwriter
from xlsxwriter.utility import xl_col_to_name
from xlsxwriter.worksheet import Worksheet

from appgov_lib.cells import columns_of, flat, neutral
from appgov_lib.settings import private_dir, private_write

_LONGEST = 32_767  # characters Excel keeps in a cell
_MARK = " [cut: the whole text is in the JSON files]"
# What XML needs written differently, and what Excel would read as an escape of its own.
_ODD = re.compile("[&<>\ufffe\uffff]|_(?=x[0-9A-Fa-f]{4}_)")
_WRITTEN = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "_": "_x005F_", "\ufffe": "_xFFFE_", "\uffff": "_xFFFF_"}
_ROWS_AT_ONCE = 5_000


class Book:
    """A workbook being written; the same rows give the same bytes."""

    def __init__(self, path: Path, title: str) -> None:
        """`path` is written by `close`; what is on its way there lies beside it."""
        self._path, self._bytes = path, io.BytesIO()
        self._made = xlsxwriter.Workbook(self._bytes, {"tmpdir": str(private_dir(path.parent))})
        # The moment of writing would make every file different.
        self._made.set_properties({"title": title, "created": dt.datetime(2000, 1, 1, tzinfo=dt.UTC)})
        self._head = self._made.add_format({"bold": True})
        self._body = self._made.add_format({"text_wrap": True, "valign": "top"})

    def add(self, name: str, heads: Sequence[tuple[str, int]], rows: Sequence[Sequence[Any]], note: str = "") -> None:
        """Add a sheet of `rows` below `heads`, each a text and a width; `note` stands in a line of its own below."""
        sheet = self._made.add_worksheet(name, worksheet_class=_Sheet)
        for place, (text, width) in enumerate(heads):
            sheet.set_column(place, place, width)
            sheet.write_string(0, place, text, self._head)
        # a first row is a heading: its format is numbered before the rows are written
        sheet.hold(rows, len(heads), self._body)
        if note:
            sheet.write_string(len(rows) + 1, 0, note, self._head)
        sheet.freeze_panes(1, 0)
        sheet.autofilter(0, 0, max(1, len(rows)), len(heads) - 1)

    def close(self) -> None:
        """Write the file."""
        self._made.close()
        private_write(self._path, self._bytes.getvalue())


def shortened_cell(value: object) -> str:
    """A value as the text of one Excel cell: harmless, on one line, as long as a cell may be."""
    text = neutral(value if isinstance(value, str) else flat(value))
    return text if len(text) <= _LONGEST else text[: _LONGEST - len(_MARK)] + _MARK


class _Sheet(Worksheet):  # type: ignore[misc]
    """A worksheet whose rows below the first are held as they came and turned into XML when the book is closed."""

    def hold(self, rows: Sequence[Sequence[Any]], width: int, form: Any) -> None:
        """Take the rows of `width` columns; they start in the second line."""
        self._held, self._width, self._form = rows, width, form

    def _write_rows(self) -> None:
        """Write what xlsxwriter knows of before and after ours."""
        last: int = self.dim_rowmax  # type: ignore[has-type]
        self.dim_rowmax = 0
        super()._write_rows()
        for part in _lines(self._held, self._width, self._form._get_xf_index()):
            self.fh.write(part)
        if last > 0:
            self.dim_rowmin, self.dim_rowmax = last, last
            super()._write_rows()

    def _write_dimension(self) -> None:
        """Say how far the sheet goes, with our rows."""
        self._xml_empty_tag("dimension", [("ref", f"A1:{xl_col_to_name(self._width - 1)}{len(self._held) + 1}")])


def _lines(rows: Sequence[Sequence[Any]], width: int, form: int) -> Iterator[str]:
    """The rows as XML, some thousand at a time."""
    cells = "".join(f'<c r="{xl_col_to_name(n)}\0" s="{form}"%s' for n in range(width))
    row = f'<row r="\0">{cells}</row>'
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        columns = map(_insides, columns_of(rows[start : start + _ROWS_AT_ONCE], width))
        yield "".join(
            row.replace("\0", str(number)) % values
            for number, values in enumerate(zip(*columns, strict=True), start=start + 2)
        )


def _insides(values: Sequence[Any]) -> list[str]:
    """What follows the addresses of the cells of one column; what comes often is made once."""
    if set(map(type, values)) <= {str, type(None)}:
        distinct = set(values)
        if len(distinct) * 2 < len(values):
            made = {value: _inside(value) for value in distinct}
            return [made[value] for value in values]
    return list(map(_inside, values))


def _inside(value: Any) -> str:
    """What follows the address of a cell."""
    if value is None:
        return "/>"
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return f"><v>{value:.16g}</v></c>" if isinstance(value, float) else f"><v>{value}</v></c>"
    text = shortened_cell(value)
    if "&" in text or "<" in text or ">" in text or "_x" in text or not text.isprintable():
        text = _ODD.sub(lambda found: _WRITTEN[found[0]], text)
    return f' t="inlineStr"><is><t xml:space="preserve">{text}</t></is></c>'
