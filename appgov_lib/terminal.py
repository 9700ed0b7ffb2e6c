"""Text for a terminal: names from a tenant may hold escape sequences, so everything is cleaned before it is printed."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

import click


def clean(value: Any, width: int | None = None) -> str:
    """`value` as one line of printable text, cut to `width` characters; None is written `unknown`.

    Control and format characters (escape sequences, line ends, direction overrides) become a blank.
    """
    text = "unknown" if value is None else str(value)
    text = "".join(" " if unicodedata.category(char) in {"Cc", "Cf", "Cs", "Zl", "Zp"} else char for char in text)
    return text if width is None or len(text) <= width else text[: width - 1] + "…"


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], widest: int = 60) -> None:
    """Print rows under headings on standard output, columns aligned, cells cut at `widest` characters."""
    cells = [[clean(cell, widest) for cell in row] for row in rows]
    widths = [max([len(head), *(len(row[i]) for row in cells)]) for i, head in enumerate(columns)]
    for row in [list(columns), ["-" * width for width in widths], *cells]:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
