"""Lines of a text stream, in batches, with a bound on the length of a line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from appgov_lib.imports.content import DamagedError

MAX_LINE = 64 << 20
"""Longest line in bytes that is kept; a longer one is skipped to its end and reported."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Consecutive lines of one file."""

    first: int
    """Number of the first line, from 1."""
    lines: list[bytes]
    """Lines without line ends."""
    valid: bool
    """Whether all of it is valid UTF-8; where it is not, each line has to be looked at."""
    too_long: bool = False
    """Whether this batch stands for one line longer than `MAX_LINE`, which `lines` then lacks."""
    unfinished: bool = False
    """Whether the last line is the end of the file without a line end."""
    damaged: bool = False
    """Whether the compressed data is damaged after this batch."""


def batches(blocks: Iterator[bytes]) -> Iterator[Batch]:
    """Cut UTF-8 blocks into batches of whole lines (LF or CRLF), never holding more than a block and one line."""
    number, waiting, held, skipping, damaged = 1, [], 0, False, False
    while True:
        try:
            block = next(blocks, None)
        except DamagedError:
            block, damaged = None, True
        if block is None:
            break
        end = block.rfind(b"\n")
        if end < 0:
            if not skipping:
                waiting.append(block)
                held += len(block)
                if held > MAX_LINE:
                    waiting, held, skipping = [], 0, True
            continue
        if skipping:
            start = block.find(b"\n") + 1
            yield Batch(number, [], True, too_long=True)
            number += 1
            body = block[start : end + 1]
        else:
            body = b"".join([*waiting, block[: end + 1]])
        waiting, held, skipping = [block[end + 1 :]], len(block) - end - 1, False
        if body:
            lines = body[:-1].split(b"\n")
            yield Batch(number, lines, _is_utf8(body))
            number += len(lines)
    if skipping:
        yield Batch(number, [], True, too_long=True, unfinished=True, damaged=damaged)
        return
    rest = b"".join(waiting)
    yield Batch(number, [rest] if rest else [], _is_utf8(rest), unfinished=bool(rest), damaged=damaged)


def _is_utf8(text: bytes) -> bool:
    """Whether `text` is valid UTF-8; quick for plain ASCII."""
    if text.isascii():
        return True
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True
