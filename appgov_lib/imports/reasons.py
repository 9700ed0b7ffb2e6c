"""Why a record was left out: a fixed set of reasons, with detail that never holds row data."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

MAX_DETAIL = 60
"""Longest name of a foreign log category or table that is repeated in a reason."""

_NOT_PLAIN = re.compile(r"[^A-Za-z0-9 ._/-]")


class Reason(StrEnum):
    """Everything that can keep a record out of a snapshot."""

    NOT_JSON = "not valid JSON"
    CUT = "the file ends inside this record"
    NOT_OBJECT = "not a JSON object"
    NOT_UTF8 = "text that is not UTF-8"
    TOO_LONG = "record too long"
    TOO_DEEP = "nested too deeply"
    NOT_CSV = "not valid CSV"
    CELLS = "number of cells differs from the header"
    BAD_TIME = "impossible time"
    UNUSED_CATEGORY = "category not used"
    OTHER_PRODUCT = "record of another product"
    NOT_A_LOG = "directory object, not a log record"
    PLACEHOLDER = "placeholder without any identifier"
    UNKNOWN_SHAPE = "unknown shape"
    NOT_TEXT = "the file is not text"
    DAMAGED = "the compressed data is damaged from here on"
    TOO_BIG = "the file unpacks to an implausible size"


@dataclass(frozen=True)
class Refusal:
    """One record, or `rows` records of one file, that cannot be used."""

    reason: Reason
    detail: str = ""
    """A field or category name, already plain; empty where the reason says it all."""
    rows: int = 1
    """Records this refusal stands for; more than one only where a whole table is of no use."""

    def __str__(self) -> str:
        """The sentence shown to the user."""
        return f"{self.reason}: {self.detail}" if self.detail else str(self.reason)


def plain(text: object) -> str:
    """Make a name from a file safe to show anywhere: plain letters, `?` for the rest, at most `MAX_DETAIL` long.

    Log categories and table names come from files that anyone may have written, and end up in terminals, CSV
    files and pages.
    """
    cleaned = _NOT_PLAIN.sub("?", str(text)[: MAX_DETAIL + 1]).strip()
    return cleaned if len(cleaned) <= MAX_DETAIL else cleaned[: MAX_DETAIL - 3] + "..."
