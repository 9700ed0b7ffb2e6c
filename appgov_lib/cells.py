"""Values as cells of a spreadsheet: texts that strangers chose are made harmless, numbers stay numbers.

A cell that a spreadsheet would run as a formula gets a leading apostrophe; line breaks and control characters become
blanks. A large tenant has millions of cells, so whole columns are converted at once.
"""

from __future__ import annotations

import datetime as dt
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Any

_FORMULA_STARTS = frozenset("=+-@\uff1d\uff0b\uff0d\uff20")  # full-width forms count in some spreadsheets
# the categories Cc, Zl and Zp
_BLANKED = dict.fromkeys((*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029), " ")
_AS_THEY_ARE = frozenset({int, dt.date, dt.datetime, type(None)})
"""Kinds that csv writes as we would."""


def neutral(text: str) -> str:
    """`text` as a cell that no spreadsheet runs: on one line, and with an apostrophe before a formula sign."""
    # printable text holds nothing to take out, and no blank but the common one
    line = text if text.isprintable() else text.translate(_BLANKED)
    return f"'{line}" if _first_visible(line) in _FORMULA_STARTS else line


def flat(value: object) -> str:
    """A value as the text of one cell: lists joined, dates ISO, nothing for NULL."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return "; ".join(str(item) for item in value)
    return f"{value:.15g}" if isinstance(value, float) else str(value)


def csv_column(values: Sequence[Any]) -> Sequence[Any]:
    """The values of one column as csv is to write them."""
    kinds = set(map(type, values))
    if kinds <= _AS_THEY_ARE:
        return values
    if kinds <= {str, type(None)}:
        return [neutral(value) if value else "" for value in values]
    return [flat(v) if isinstance(v, int | float) else neutral(flat(v)) for v in values]


def columns_of(rows: Sequence[Sequence[Any]], count: int) -> Iterator[Sequence[Any]]:
    """The `count` columns of rows."""
    return iter(zip(*rows, strict=True)) if rows else iter([()] * count)


def _first_visible(line: str) -> str:
    """The first character a reader sees, if any: not a blank, not a sign that only directs the text."""
    if line[:1].isalnum():
        return line[0]
    return next((c for c in line if not c.isspace() and unicodedata.category(c) != "Cf"), "")
