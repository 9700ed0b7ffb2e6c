"""On which line of a TOML file a key stands, which Python's reader does not tell."""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from typing import Any

Path = tuple[str | int, ...]
"""Where a value is in the document: names of tables and keys, numbers of entries in a list of tables."""

_HEADER = re.compile(r"\s*(\[\[?)(.+?)\]\]?\s*(?:#.*)?$")
_KEY = re.compile(r"\s*((?:[A-Za-z0-9_-]+|\"[^\"]*\"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|\"[^\"]*\"|'[^']*'))*)\s*=")


def lines_of(text: str) -> dict[Path, int]:
    """Line number, from 1, of every table and key of a document that `tomllib` accepts."""
    found: dict[Path, int] = {}
    entries: Counter[Path] = Counter()
    table: Path = ()
    lines = text.splitlines()
    number = 0
    while number < len(lines):
        line = lines[number]
        number += 1
        header = _HEADER.match(line)
        key = _KEY.match(line)
        if header and not key:
            table = _inside(_names(header[2]), entries)
            if header[1] == "[[":
                entries[table] += 1
                table = (*table, entries[table] - 1)
            for length in range(1, len(table) + 1):
                found.setdefault(table[:length], number)
        elif key:
            start = number
            while not _whole("\n".join(lines[start - 1 : number])) and number < len(lines):
                number += 1
            place = (*table, *_names(key[1]))
            found.setdefault(place, start)
    return found


def line_of(found: dict[Path, int], place: Path) -> int:
    """The line of `place`, or of the nearest table around it; 1 where nothing around it is written."""
    while place and place not in found:
        place = place[:-1]
    return found.get(place, 1)


def _inside(names: Path, entries: Counter[Path]) -> Path:
    """The path of a header: a list of tables on the way means its newest entry."""
    place: Path = ()
    for number, name in enumerate(names):
        place = (*place, name)
        if place in entries and number < len(names) - 1:
            place = (*place, entries[place] - 1)
    return place


def _names(text: str) -> Path:
    """The names in a dotted key."""
    document: Any = tomllib.loads(f"{text} = 0")
    names: list[str | int] = []
    while isinstance(document, dict):
        ((name, document),) = document.items()
        names.append(name)
    return tuple(names)


def _whole(text: str) -> bool:
    """Whether a key and its value are complete, or go on in the next line."""
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return False
    return True
