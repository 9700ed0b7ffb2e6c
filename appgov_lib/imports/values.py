"""JSON values of a document that is not one record a line: pretty-printed, concatenated, or one long array.

Only one value is held at a time. The standard library's scanner finds where a value ends; the value itself is
passed on as received.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator

from appgov_lib.imports.content import DamagedError
from appgov_lib.imports.reasons import Reason, Refusal

MAX_VALUE = 64 << 20
"""Longest single JSON value in characters; a longer array is read item by item and does not count."""

_BLANK = re.compile(r"[ \t\r\n]*")
# An object that holds records in a list, with nothing but plain values before the list: read item by item.
_CONTAINER = re.compile(
    r'\{\s*(?:"[^"\\]{0,200}"\s*:\s*(?:"(?:[^"\\]|\\.){0,4000}"|[-+.0-9eE]{1,40}|true|false|null)\s*,\s*){0,20}'
    r'"(?:value|records|results)"\s*:\s*\[',
    re.IGNORECASE,
)
# Numbers stay text: only the end of a value is wanted, and a hostile number of digits is costly to convert.
_scan = json.JSONDecoder(parse_int=str, parse_float=str).raw_decode


class _Ended(Exception):
    """The text ends inside a value."""


class JsonValues:
    """Iterates over the JSON values in a stream of UTF-8 blocks; a broken value comes out as a `Refusal`."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        """Start at the first block; nothing is read yet."""
        self._blocks = blocks
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="surrogateescape")
        self._text, self._at, self._ended = "", 0, False
        self._told = False
        self.damaged = False
        """Whether the input stopped because its compressed data is damaged."""

    def __iter__(self) -> Iterator[bytes | Refusal]:
        """Yield each top-level value; the items of a top-level array are yielded one by one."""
        while self._skip_blank():
            if self._text[self._at] == "[":
                yield from self._items()
                continue
            if self._text[self._at] == ",":
                self._at += 1
                continue
            if _CONTAINER.match(self._text, self._at):
                yield from self._fields()
                continue
            value = self._value()
            if isinstance(value, Refusal) and value.reason is Reason.TOO_LONG and self._text[self._at] == "{":
                yield from self._fields()
                continue
            yield value
            if isinstance(value, Refusal) and not self._resume("\n{"):
                return

    def _more(self) -> bool:
        """Append the next block, dropping what was read; False at the end of the input."""
        if self._ended:
            return False
        try:
            block = next(self._blocks, None)
        except DamagedError:
            block, self.damaged = None, True
        self._ended = block is None
        added = self._decoder.decode(block or b"", final=self._ended)
        self._text, self._at = self._text[self._at :] + added, 0
        return not self._ended or bool(added)

    def _skip_blank(self) -> bool:
        """Move to the next character that is not blank; False at the end of the input."""
        while True:
            found = _BLANK.match(self._text, self._at)
            self._at = found.end() if found else self._at
            if self._at < len(self._text):
                return True
            if not self._more():
                return False

    def _value(self) -> bytes | Refusal:
        """Read the value at the current place; the place stays where it is when the value is refused."""
        try:
            end = self._end()
        except _Ended:
            return Refusal(Reason.CUT)
        except RecursionError:
            return Refusal(Reason.TOO_DEEP)
        except json.JSONDecodeError:
            return Refusal(Reason.NOT_JSON)
        if end is None:
            return Refusal(Reason.TOO_LONG, f"more than {MAX_VALUE >> 20} MB")
        raw = self._text[self._at : end].encode("utf-8", "surrogateescape")
        self._at = end
        return raw

    def _end(self) -> int | None:
        """Where the value at the current place ends; None where it is longer than `MAX_VALUE`."""
        wanted = 0
        while True:
            try:
                end = _scan(self._text, self._at)[1]
                # A number or word at the very end of the text may go on in the next block.
                if end < len(self._text) or self._ended or self._text[end - 1] in '}]"':
                    return end
            except json.JSONDecodeError as error:
                early = error.pos < len(self._text) - 16 and not error.msg.startswith("Unterminated string")
                if early:
                    raise
                if self._ended:
                    raise _Ended from error
            if len(self._text) - self._at > MAX_VALUE:
                return None
            # Reading as much again keeps the total work in proportion to the length of the value.
            wanted = max(wanted, 2 * (len(self._text) - self._at))
            while len(self._text) - self._at < wanted and self._more():
                pass

    def _items(self) -> Iterator[bytes | Refusal]:
        """Yield the items of the array at the current place."""
        self._at += 1
        start = self._at
        if not self._skip_blank():
            yield Refusal(Reason.CUT)
            return
        lead = self._text[start : self._at] if start <= self._at else ""
        line_start = lead[lead.rfind("\n") :] if "\n" in lead else ""
        while self._skip_blank():
            sign = self._text[self._at]
            if sign in ",]":
                self._at += 1
                if sign == "]":
                    return
                continue
            value = self._value()
            yield value
            if isinstance(value, Refusal) and not (line_start and self._resume(line_start + "{")):
                self._skip_rest()
                return
        if not self._told:
            self._told = True
            yield Refusal(Reason.CUT, "the list is not closed")

    def _fields(self) -> Iterator[bytes | Refusal]:
        """Yield the items of every array in an object that is too long to be read as one value."""
        self._at += 1
        while self._skip_blank():
            sign = self._text[self._at]
            if sign == "[":
                yield from self._items()
            elif sign in ",:}":
                self._at += 1
                if sign == "}":
                    return
            else:
                value = self._value()
                if isinstance(value, Refusal):
                    yield value
                    self._skip_rest()
                    return
        if not self._told:
            yield Refusal(Reason.CUT, "the object is not closed")

    def _resume(self, mark: str) -> bool:
        """Move to the next place that looks like the start of a record; False where there is none."""
        while True:
            found = self._text.find(mark, self._at + 1)
            if found >= 0:
                self._at = found + len(mark) - 1
                return True
            self._at = max(self._at, len(self._text) - len(mark))
            if not self._more():
                self._at = len(self._text)
                return False

    def _skip_rest(self) -> None:
        """Read to the end of the input without looking at it; that something is missing was told."""
        self._told = True
        while True:
            self._at = len(self._text)
            if not self._more():
                self._at = len(self._text)
                return
