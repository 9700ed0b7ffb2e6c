"""Looking for people in everything a report consists of, as bytes and decoded; apart from the code it checks."""

from __future__ import annotations

import base64
import contextlib
import html
import io
import json
import re
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import unquote

import duckdb

_WORD = re.compile(r"\w+")
_BASE64 = re.compile(r'"bdata":\s*"([A-Za-z0-9+/=]+)"')
_ESCAPE = re.compile(r"\\u([0-9a-fA-F]{4})")


def needles_of(con: duckdb.DuckDBPyConnection) -> set[str]:
    """Every id, principal name and display name of a user of the warehouse, and the addresses people signed in from."""
    found: set[str] = set()
    for row in con.execute("SELECT user_id, user_principal_name, display_name FROM stg_users").fetchall():
        found |= {text for text in row if text}
        found.add(row[1].replace("#EXT#", "").split("@")[0])
    used = "SELECT DISTINCT ip_address FROM stg_sign_ins WHERE user_id IS NOT NULL AND ip_address IS NOT NULL"
    return found | {row[0] for row in con.execute(used).fetchall()}


class Scan:
    """Finds any of many texts, whatever the case, as whole words."""

    def __init__(self, needles: Iterable[str]) -> None:
        """Sort them by their first word."""
        self._by_word: dict[str, list[tuple[str, int]]] = defaultdict(list)
        for needle in needles:
            low = needle.lower()
            first = _WORD.search(low)
            assert first is not None, needle
            self._by_word[first[0]].append((low, first.start()))

    def found(self, text: str) -> set[str]:
        """Those that are in a text."""
        low, found = text.lower(), set()
        for word in _WORD.finditer(low):
            for needle, before in self._by_word.get(word[0], ()):
                begin = word.start() - before
                end = begin + len(needle)
                # an address may stand before a block of addresses or a further number
                if begin >= 0 and low.startswith(needle, begin) and not re.match(r"\w|/\d|\.\d", low[end : end + 2]):
                    found.add(needle)
        return found

    def files(self, folder: Path, besides: tuple[str, ...] = ()) -> dict[str, set[str]]:
        """What is in the names and contents of files, by file."""
        result = {}
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            name = path.relative_to(folder).as_posix()
            if not name.startswith(besides or ("-",)):
                found = set().union(self.found(name), *(self.found(text) for text in readings(path.read_bytes())))
                if found:
                    result[name] = found
        return result


def readings(content: bytes) -> Iterator[str]:
    """The text of a file, and what it decodes to: entities, escapes, percent signs, JSON, archives, streams, arrays."""
    if content[:2] == b"PK":
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for name in archive.namelist():
                yield from readings(archive.read(name))
        return
    if content[:4] == b"%PDF":
        for stream in re.findall(rb"stream\r?\n(.*?)endstream", content, re.DOTALL):
            try:
                yield zlib.decompress(stream).decode("latin-1")
            except zlib.error:
                yield stream.decode("latin-1")
        return
    text = content.decode("utf-8", "replace")
    seen = {text}
    for _ in range(3):  # what was escaped inside what was escaped
        for old in tuple(seen):
            seen.add(html.unescape(old))
            seen.add(_ESCAPE.sub(lambda match: chr(int(match[1], 16)), old))
            seen.add(unquote(old))
            seen.add(old.replace("''", "'").replace("'\"'\"'", "'").replace("'\\''", "'"))
        if len(seen) > 12:
            break
    yield from seen
    for blob in _BASE64.findall(text):
        yield base64.b64decode(blob).decode("latin-1")
    if text.lstrip()[:1] in ("{", "["):
        with contextlib.suppress(ValueError):
            yield from _strings(json.loads(text))


def _strings(value: object) -> Iterator[str]:
    """Every text in a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from _strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)
