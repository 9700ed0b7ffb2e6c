"""Advanced hunting: runs a query over the tables of the sample tenant and writes the answer.

At most 100,000 rows come back, without a word about the rest.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

import msgspec

from appgov_lib.sample import kql
from appgov_lib.sample.calendar import DAYS, FIRST_DAY, NOW
from appgov_lib.sample.collections import read_time
from appgov_lib.sample.kql_functions import seven, wrong
from appgov_lib.sample.odata import GraphError

ROW_CAP = 100_000
MOST_BYTES = 124 * 1024 * 1024
"""Size of the largest answer (Microsoft Learn: advanced hunting API, limitations, 2026)."""
Fragments = Mapping[str, Sequence[str]]
"""Rows by column: each value as JSON text."""
_START = datetime(FIRST_DAY.year, FIRST_DAY.month, FIRST_DAY.day, tzinfo=UTC)
_SPAN = re.compile(r"^P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?)?$")
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


class Lazy(Mapping[str, Sequence[str]]):
    """Rows whose columns are written when they are asked for."""

    def __init__(
        self, numbers: Sequence[int], names: Iterable[str], write: Callable[[str, Sequence[int]], Fragments]
    ) -> None:
        """`write` gives at least the column it is asked for, of the rows with these numbers."""
        self._numbers, self._names, self._write = numbers, tuple(names), write
        self._written: dict[str, Sequence[str]] = {}

    def __getitem__(self, name: str) -> Sequence[str]:
        """One column."""
        if name not in self._written:
            self._written.update(self._write(name, self._numbers))
        return self._written[name]

    def __iter__(self) -> Iterator[str]:
        """The columns' names."""
        return iter(self._names)

    def __len__(self) -> int:
        """How many columns there are."""
        return len(self._names)

    def taken(self, places: Sequence[int]) -> Lazy:
        """The rows at these places; what is not yet written of the others never will be."""
        return Lazy([self._numbers[place] for place in places], self._names, self._write)


@dataclass(frozen=True)
class Table:
    """A hunting table: its columns with their types, and the rows of a day, newest first, in pieces."""

    columns: Mapping[str, str]
    day: Callable[[int], Iterator[Fragments]]
    annotated: Mapping[str, str] = field(default_factory=dict)
    """Columns whose value comes with an `@odata.type` beside it, as lists do on the wire."""


def run(tables: Mapping[str, Table], text: str, timespan: str | None) -> bytes:
    """Answer a query: schema and results, without the braces around them. Raises GraphError 400."""
    low, high = _timespan(timespan) if timespan else (_START, NOW)
    plan = kql.parse(text, {name: table.columns for name, table in tables.items()}, max(low, _START), min(high, NOW))
    table = tables[plan.table]
    try:
        if plan.latest and len(plan.steps) == 1:
            rows = _latest(table, plan, *plan.latest)
        else:
            rows = _computed(table, plan) if plan.steps else _chosen(table, plan)
    except (TypeError, ValueError):
        raise wrong("An expression got values of the wrong type") from None
    if sum(map(len, rows)) > MOST_BYTES:
        raise _too_large()
    schema = ",".join(f'{{"name":"{name}","type":"{kind}"}}' for name, kind in plan.schema.items())
    return f'"schema":[{schema}],"results":[{",".join(rows)}]'.encode()


def _chosen(table: Table, plan: kql.Plan) -> list[str]:
    """Rows of the table as they are, the wanted columns only; nothing is decoded."""
    parts = []
    for name in plan.columns:
        if name in table.annotated:
            parts.append(f'"{name}@odata.type":"{table.annotated[name]}"')
        parts.append(f'"{name}":%s')
    template = "{" + ",".join(parts) + "}"
    limit = min(ROW_CAP, ROW_CAP if plan.limit is None else plan.limit)
    rows: list[str] = []
    for piece in _pieces(table, plan):
        rows += [template % values for values in zip(*(piece[name] for name in plan.columns), strict=True)]
        if len(rows) >= limit:
            break
    return rows[:limit]


def _latest(table: Table, plan: kql.Plan, time: str, key: str) -> list[str]:
    """The newest row of each key, in the order of the keys; rows that are older than one held are never written."""
    template = "{" + ",".join(f'"{name}":%s' for name in plan.schema)
    template += "".join(f',"{name}@odata.type":"{kind}"' for name, kind in table.annotated.items()) + "}"
    held: dict[str, tuple[Any, str]] = {}
    size = 0
    for piece in _pieces(table, plan):
        moments = list(map(_value, piece[time]))
        best: dict[str, int] = {}
        for place, name in enumerate(piece[key]):
            moment, other = moments[place], moments[best[name]] if name in best else None
            if name not in best and name in held:
                other = held[name][0]
            if (name not in best and name not in held) or (moment is not None and (other is None or moment > other)):
                best[name] = place
        if not best:
            continue
        places = sorted(best.values())
        names = sorted(best, key=best.__getitem__)
        chosen = _taken(piece, places)
        texts = (template % values for values in zip(*(chosen[name] for name in plan.schema), strict=True))
        for name, place, text in zip(names, places, texts, strict=True):
            size += len(text) - (len(held[name][1]) if name in held else 0)
            held[name] = (moments[place], text)
        if size > MOST_BYTES and len(held) <= ROW_CAP:
            raise _too_large()

    def order(name: str) -> tuple[bool, str]:
        """Missing keys first, then by text."""
        value = _value(name)
        return value is not None, str(value)

    return [held[name][1] for name in sorted(held, key=order)][:ROW_CAP]


def _too_large() -> GraphError:
    """The answer to a query that finds too much."""
    message = "Query execution has exceeded the allowed result size. Optimize your query by limiting the number of "
    return GraphError(400, "BadRequest", message + "results and try again.")


def _taken(piece: Fragments, places: Sequence[int]) -> Fragments:
    """The rows of a piece at these places."""
    if len(places) == len(piece["Timestamp"]):
        return piece
    if isinstance(piece, Lazy):
        return piece.taken(places)
    return {name: [values[place] for place in places] for name, values in piece.items()}


def _computed(table: Table, plan: kql.Plan) -> list[str]:
    """Rows that went through the steps of a query."""
    names = sorted(plan.needed)
    rows: list[dict[str, Any]] = []
    for piece in _pieces(table, plan):
        columns = [list(map(_value, piece[name])) for name in names]
        if names:
            rows += [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]
        else:
            rows += [{}] * len(piece["Timestamp"])
    for step in plan.steps:
        rows = step(rows)
    beside = {name: kind for name, kind in table.annotated.items() if name in plan.schema}
    found = []
    for row in rows[:ROW_CAP]:
        extra = {f"{name}@odata.type": kind for name, kind in beside.items()}
        found.append(_encode({**{name: row[name] for name in plan.schema}, **extra}).decode())
    return found


def _pieces(table: Table, plan: kql.Plan) -> Iterator[Fragments]:
    """The rows of the window that pass the tests, newest first."""
    first = max(0, (plan.low - _START).days)
    last = min(DAYS - 1, (plan.high - timedelta(microseconds=1) - _START).days)
    low, high = f'"{seven(plan.low)}"', f'"{seven(plan.high)}"'
    tested = sorted({name for test in plan.tests for name in test.columns})
    for day in range(last, first - 1, -1):
        begin = _START + timedelta(days=day)
        whole = plan.low <= begin and plan.high >= begin + timedelta(days=1)
        for piece in table.day(day):
            places: Sequence[int] = range(len(piece["Timestamp"]))
            if not whole:
                moments = piece["Timestamp"]
                places = [place for place in places if low <= moments[place] < high]
            if plan.tests:
                columns = {name: list(map(_value, piece[name])) for name in tested}
                rows = ({name: columns[name][place] for name in tested} for place in places)
                places = [
                    place
                    for place, row in zip(places, rows, strict=True)
                    if all(test.evaluate(row) for test in plan.tests)
                ]
            if places:
                yield _taken(piece, places)


def _value(fragment: str) -> Any:
    """The value of a JSON fragment; most are texts without escapes."""
    if fragment[0] == '"' and "\\" not in fragment:
        return fragment[1:-1]
    return _shared(fragment) if fragment[0] in "[{" else _decode(fragment)


@lru_cache(maxsize=4_096)
def _shared(fragment: str) -> Any:
    """A list or an object; many rows of a table hold the same, and nobody changes it."""
    return _decode(fragment)


def _timespan(text: str) -> tuple[datetime, datetime]:
    """An ISO 8601 duration back from NOW, or an interval of two times."""
    if "/" in text:
        start, _, end = text.partition("/")
        span = _SPAN.match(end)
        begin = read_time(start)
        return begin, begin + _duration(span) if span else read_time(end)
    span = _SPAN.match(text)
    if not span:
        raise wrong(f"Invalid timespan '{text[:40]}'")
    return NOW - _duration(span), NOW


def _duration(span: re.Match[str]) -> timedelta:
    """The length of an ISO 8601 duration."""
    return timedelta(days=int(span[1] or 0), hours=int(span[2] or 0), minutes=int(span[3] or 0))
