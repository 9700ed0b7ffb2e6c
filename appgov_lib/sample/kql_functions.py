"""Operators and functions of the Kusto query language on Python values; None stands for a missing value."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from appgov_lib.sample.calendar import NOW
from appgov_lib.sample.collections import read_time
from appgov_lib.sample.odata import GraphError

STRING, LONG, REAL, TIME, BOOL, OBJECT, SPAN = "String", "Int64", "Double", "DateTime", "SByte", "Object", "TimeSpan"
"""Types as the schema of an answer names them."""


def wrong(message: str) -> GraphError:
    """The answer to a query with a mistake."""
    return GraphError(400, "BadRequest", f"{message}. Fix semantic errors in your query.")


def seven(moment: datetime) -> str:
    """A time with seven decimals, as rows carry it."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%f") + "0Z"


# ---- operators -------------------------------------------------------------------------------------------------------


def _alike(left: Any, right: Any) -> tuple[Any, Any]:
    """Two values that can be compared: a number and a text that holds one meet as numbers."""
    if isinstance(left, str) != isinstance(right, str):
        return _real(left), _real(right)
    return left, right


def _ordered(test: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    """A comparison that is false where a value is missing."""

    def compare(left: Any, right: Any) -> bool:
        """Compare two values."""
        one, other = _alike(left, right)
        return one is not None and other is not None and test(one, other)

    return compare


def _same(left: Any, right: Any) -> bool:
    """Equality."""
    one, other = _alike(left, right)
    return bool(one is not None and one == other)


def among(value: Any, wanted: tuple[Any, ...], fold: bool) -> bool:
    """Whether a value is in a list, with or without regard to case."""
    return any(_folded(value) == _folded(item) if fold else _same(value, item) for item in wanted)


def _folded(value: Any) -> str:
    """Text without regard to case."""
    return _text(value).lower()


def _text(value: Any) -> str:
    """A value as text; nothing is the empty text."""
    return "" if value is None else str(value)


def _contains_word(text: Any, word: Any) -> bool:
    """`has`: the word with no letter or digit beside it."""
    return re.search(rf"(?<![A-Za-z0-9]){re.escape(_folded(word))}(?![A-Za-z0-9])", _folded(text)) is not None


_WORD_TESTS: dict[str, Callable[[Any, Any], bool]] = {
    "contains": lambda v, w: _folded(w) in _folded(v),
    "startswith": lambda v, w: _folded(v).startswith(_folded(w)),
    "endswith": lambda v, w: _folded(v).endswith(_folded(w)),
    "has": _contains_word,
}
COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "==": _same,
    "!=": lambda v, w: not _same(v, w),
    "=~": lambda v, w: _folded(v) == _folded(w),
    "!~": lambda v, w: _folded(v) != _folded(w),
    ">=": _ordered(lambda v, w: v >= w),
    "<=": _ordered(lambda v, w: v <= w),
    ">": _ordered(lambda v, w: v > w),
    "<": _ordered(lambda v, w: v < w),
    **_WORD_TESTS,
    **{f"!{name}": (lambda v, w, test=test: not test(v, w)) for name, test in _WORD_TESTS.items()},  # type: ignore[misc]
}
WORDS = {"and", "or", "by", "asc", "desc", "nulls"}


def _shifted(value: Any, step: timedelta) -> Any:
    """A time moved by a span, or two spans added."""
    return value + step if isinstance(value, timedelta) else seven(read_time(value) + step)


def plus(left: Any, right: Any) -> Any:
    """Addition, of times and spans too."""
    if left is None or right is None:
        return None
    return _shifted(left, right) if isinstance(right, timedelta) else left + right


def minus(left: Any, right: Any) -> Any:
    """Subtraction, of spans from times too."""
    if left is None or right is None:
        return None
    return _shifted(left, -right) if isinstance(right, timedelta) else left - right


TIMES: dict[str, Callable[[Any, Any], Any]] = {
    "*": lambda v, w: None if v is None or w is None else v * w,
    "/": lambda v, w: None if v is None or not w else (v // w if isinstance(v, int) and isinstance(w, int) else v / w),
    "%": lambda v, w: None if v is None or not w else v % w,
}


def element(value: Any, key: Any) -> Any:
    """A member of an object or an element of a list, or nothing."""
    if isinstance(value, dict):
        return value.get(key)
    if isinstance(value, list) and isinstance(key, int) and -len(value) <= key < len(value):
        return value[key]
    return None


# ---- functions -------------------------------------------------------------------------------------------------------


def _long(value: Any) -> int | None:
    """A whole number, or nothing."""
    found = _real(value)
    return None if found is None else int(found)


def _real(value: Any) -> float | None:
    """A number, or nothing."""
    if isinstance(value, int | float):
        return value
    try:
        return float(value) if isinstance(value, str) and value.strip() else None
    except ValueError:
        return None


def binned(value: Any, step: Any) -> Any:
    """A time cut to whole steps since year one (days and shorter), or a number cut to a multiple."""
    if value is None:
        return None
    if isinstance(step, timedelta):
        if step == timedelta(days=1):
            return f"{value[:10]}T00:00:00Z"
        if step == timedelta(hours=1):
            return f"{value[:13]}:00:00Z"
        moment = read_time(value)
        zero = datetime(1, 1, 1, tzinfo=moment.tzinfo)
        return (moment - (moment - zero) % step).strftime("%Y-%m-%dT%H:%M:%SZ")
    return value // step * step


@lru_cache(maxsize=256)
def _pattern(text: str) -> re.Pattern[str]:
    """A compiled pattern. Raises GraphError 400."""
    try:
        return re.compile(text)
    except re.error:
        raise wrong(f"Invalid regular expression '{text[:40]}'") from None


def _extract(pattern: str, group: int, text: Any) -> str:
    """A group of the first match, or the empty text."""
    found = _pattern(pattern).search(_text(text))
    return found[group] or "" if found else ""


@lru_cache(maxsize=65_536)
def _replaced(text: str, pattern: str, by: str) -> str:
    """The text with every match replaced; the same few thousand texts come again and again in a log."""
    return _pattern(pattern).sub(by, text)


def _case(*values: Any) -> Any:
    """The value behind the first condition that holds, else the last one."""
    pairs = zip(values[:-1:2], values[1::2], strict=False)
    return next((value for condition, value in pairs if condition), values[-1])


def _substring(text: Any, start: int, length: int = 10**9) -> str:
    """Part of a text."""
    return _text(text)[start : start + length]


FUNCTIONS: dict[str, tuple[Callable[..., Any], str]] = {
    "tolong": (_long, LONG),
    "toint": (_long, LONG),
    "todouble": (_real, REAL),
    "toreal": (_real, REAL),
    "tostring": (_text, STRING),
    "todatetime": (lambda value: seven(read_time(value)) if value else None, TIME),
    "tolower": (_folded, STRING),
    "toupper": (lambda value: _text(value).upper(), STRING),
    "strlen": (lambda value: len(_text(value)), LONG),
    "strcat": (lambda *values: "".join(map(_text, values)), STRING),
    "substring": (_substring, STRING),
    "isempty": (lambda value: value in (None, "", {}), BOOL),
    "isnotempty": (lambda value: value not in (None, "", {}), BOOL),
    "isnull": (lambda value: value is None, BOOL),
    "isnotnull": (lambda value: value is not None, BOOL),
    "not": (lambda value: not value, BOOL),
    "bin": (binned, ""),
    "startofday": (lambda value: binned(value, timedelta(days=1)), TIME),
    "iff": (lambda condition, yes, no: yes if condition else no, ""),
    "iif": (lambda condition, yes, no: yes if condition else no, ""),
    "case": (_case, ""),
    "coalesce": (lambda *values: next((value for value in values if value not in (None, "")), None), ""),
    "extract": (_extract, STRING),
    "replace_regex": (lambda text, pattern, by: _replaced(_text(text), pattern, by), STRING),
    "replace_string": (lambda text, old, by: _text(text).replace(old, by), STRING),
    "split": (lambda text, at: _text(text).split(at), OBJECT),
    "array_length": (lambda value: len(value) if isinstance(value, list) else None, LONG),
    "hash": (lambda value, many=2**63: zlib.crc32(_text(value).encode()) % many, LONG),
    "ago": (lambda span: seven(NOW - span), TIME),
    "now": (lambda: seven(NOW), TIME),
}
