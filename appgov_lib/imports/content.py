"""The bytes of an input file as UTF-8 text blocks: unpacked, without byte order mark, whatever the file is called."""

from __future__ import annotations

import codecs
import hashlib
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from appgov_lib.imports.reasons import Reason, Refusal

BLOCK = 4 << 20
"""Bytes read at a time."""

PACKED = 64 << 10
"""Packed bytes unpacked at a time; what is lost where a packed file is damaged."""

PLAUSIBLE_RATIO = 300
"""Logs pack 10 to 60 times; a file that claims more than this is refused once it is large."""

PLAUSIBLE_SIZE = 256 << 20
"""Unpacked bytes below which the ratio does not matter."""

_GZIP = b"\x1f\x8b"
_UNREADABLE = (b"PK\x03\x04", b"BZh", b"\x28\xb5\x2f\xfd", b"\xfd7zXZ", b"PAR1", b"Obj\x01", b"%PDF", b"SQLite")


class DamagedError(Exception):
    """The compressed data ends early or does not unpack; what came before was good."""


@dataclass(frozen=True)
class Measured:
    """What is known of a file before any record of it is read."""

    sha256: str
    """Hash of the unpacked content: a file and its packed copy are the same input."""
    size: int
    """Unpacked bytes."""
    encoding: str
    """Name of the codec; empty for a file that is no text."""
    refusal: Refusal | None
    """Why nothing of this file can be read, if so."""
    damaged: bool
    """Whether the compressed data is damaged somewhere."""


def measure(path: Path) -> Measured:
    """Hash the unpacked content of `path` and tell its encoding; raises `OSError` where it cannot be read."""
    digest, size, head = hashlib.sha256(), 0, b""
    packed_size = path.stat().st_size
    refusal, damaged = None, False
    try:
        for block in _unpacked(path):
            digest.update(block)
            size += len(block)
            head = head or block[:4096]
            if size > PLAUSIBLE_SIZE and size > PLAUSIBLE_RATIO * packed_size:
                refusal = Refusal(Reason.TOO_BIG, f"more than {PLAUSIBLE_RATIO} times its {packed_size} bytes")
                break
    except DamagedError:
        # Two files cut at the same place are one; the same file whole is another.
        digest.update(b"damaged")
        damaged = True
    encoding = _encoding(head)
    if not encoding:
        refusal = Refusal(Reason.NOT_TEXT)
    return Measured(digest.hexdigest(), size, encoding, refusal, damaged)


def text_blocks(path: Path, encoding: str) -> Iterator[bytes]:
    """Yield the content of `path` as UTF-8 without byte order mark, about `BLOCK` bytes at a time.

    Bytes of a UTF-8 file are passed on as they are, valid or not. Raises `DamagedError` after the last good block
    of a damaged gzip file.
    """
    if encoding == "utf-8":
        first = True
        for block in _unpacked(path):
            yield block.removeprefix(codecs.BOM_UTF8) if first else block
            first = False
        return
    decoder = codecs.getincrementaldecoder(encoding)(errors="replace")
    first = True
    for block in _unpacked(path):
        text = decoder.decode(block)
        yield (text.removeprefix("\ufeff") if first else text).encode("utf-8", "replace")
        first = False
    yield decoder.decode(b"", final=True).encode("utf-8", "replace")


def _encoding(head: bytes) -> str:
    """Tell UTF-8 from UTF-16 by the byte order mark, else by where the zero bytes stand; empty for no text."""
    if head.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)) or head.startswith(_UNREADABLE):
        return ""
    if head.startswith(codecs.BOM_UTF16_LE):
        return "utf-16-le"
    if head.startswith(codecs.BOM_UTF16_BE):
        return "utf-16-be"
    if len(head) >= 4 and head[0] and not head[1] and head[2] and not head[3]:
        return "utf-16-le"
    if len(head) >= 4 and not head[0] and head[1] and not head[2] and head[3]:
        return "utf-16-be"
    # A zero byte further on damages one record, not the file; one at the very start is no text.
    return "" if b"\x00" in head[:64] else "utf-8"


def _unpacked(path: Path) -> Iterator[bytes]:
    """Yield the bytes of `path`, unpacked where they start like gzip."""
    with path.open("rb") as handle:
        packed = handle.read(2) == _GZIP
        handle.seek(0)
        if packed:
            yield from _gunzip(handle)
            return
        while block := handle.read(BLOCK):
            yield block


def _gunzip(handle: BinaryIO) -> Iterator[bytes]:
    """Unpack all members of a gzip file, never more than `BLOCK` bytes at a time; zero padding at the end is fine."""
    unpacker, waiting = zlib.decompressobj(31), b""
    while True:
        chunk = waiting or handle.read(PACKED)
        if not chunk:
            while block := unpacker.decompress(b"", BLOCK) if not unpacker.eof else b"":
                yield block
            if not unpacker.eof:
                raise DamagedError
            return
        if unpacker.eof:
            chunk = chunk.lstrip(b"\x00")
            if not chunk:
                waiting = b""
                continue
            unpacker = zlib.decompressobj(31)
        try:
            block = unpacker.decompress(chunk, BLOCK)
        except zlib.error as error:
            raise DamagedError from error
        waiting = unpacker.unused_data if unpacker.eof else unpacker.unconsumed_tail
        if block:
            yield block
