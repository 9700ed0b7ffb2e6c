"""Advanced hunting, as much of it as an app-governance extractor needs: table GraphApiAuditEvents and a few operators.

Understood: `where` with times, `==`, `in`, `hash(column, n) == k`; `project`, `take`, `limit`, `order by Timestamp`,
`count`, `summarize count(), sum(column), dcount(column) by columns, bin(Timestamp, 1d or 1h)`. Anything else is a 400,
as a mistake in a query is. At most 100,000 rows come back, without a word about the rest.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from appgov_lib.sample.calendar import DAYS, FIRST_DAY, NOW
from appgov_lib.sample.collections import read_time
from appgov_lib.sample.odata import GraphError
from appgov_lib.sample.records import HUNTING_COLUMNS, Records
from appgov_lib.sample.rhythm import CALL_STREAM

ROW_CAP = 100_000
TABLE = "GraphApiAuditEvents"
_CHUNK = 5_000
_START = datetime(FIRST_DAY.year, FIRST_DAY.month, FIRST_DAY.day, tzinfo=UTC)
_TIME = r"(?:datetime\(\s*([^)]+?)\s*\)|ago\(\s*(\d+)([dhm])\s*\))"
_BETWEEN = re.compile(rf"^Timestamp\s+between\s*\(\s*{_TIME}\s*\.\.\s*{_TIME}\s*\)$", re.I)
_COMPARE = re.compile(rf"^Timestamp\s*(>=|<=|>|<)\s*{_TIME}$", re.I)
_EQUAL = re.compile(r"^(\w+)\s*(==|=~|!=)\s*[\"']?([^\"']*)[\"']?$")
_IN = re.compile(r"^(\w+)\s+in\s*\(([^)]*)\)$", re.I)
_HASH = re.compile(r"^hash\(\s*(\w+)\s*,\s*(\d+)\s*\)\s*==\s*(\d+)$", re.I)
_MEASURE = re.compile(r"^(?:(\w+)\s*=\s*)?(count|sum|dcount|min|max)\(\s*(\w*)\s*\)$", re.I)
_BIN = re.compile(r"^(?:(\w+)\s*=\s*)?bin\(\s*Timestamp\s*,\s*1([dh])\s*\)$", re.I)
_SPAN = re.compile(r"^P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?)?$")


@dataclass
class _Query:
    """A parsed query; times are half open: from `low` up to, not with, `high`."""

    low: datetime = _START
    high: datetime = NOW
    tests: list[tuple[str, str, object]] = field(default_factory=list)
    columns: list[str] = field(default_factory=lambda: list(HUNTING_COLUMNS))
    limit: int = ROW_CAP
    measures: list[tuple[str, str, str]] = field(default_factory=list)
    groups: list[tuple[str, str]] = field(default_factory=list)
    grouped: bool = False


def run(records: Records, text: str, timespan: str | None) -> bytes:
    """Answer a query: schema and results, without the braces around them. Raises GraphError 400."""
    query = _parse(text, timespan)
    if query.grouped:
        return _summarized(records, query)
    template = "{" + ",".join(f'"{name}":%s' for name in query.columns) + "}"
    rows: list[str] = []
    for chunk in _chunks(records, query):
        chosen = [chunk[name] for name in query.columns]
        rows += [template % values for values in zip(*chosen, strict=True)]
        if len(rows) >= query.limit:
            rows = rows[: query.limit]
            break
    schema = ",".join(f'{{"name":"{name}","type":"{HUNTING_COLUMNS[name]}"}}' for name in query.columns)
    return f'"schema":[{schema}],"results":[{",".join(rows)}]'.encode()


def _chunks(records: Records, query: _Query) -> Iterator[dict[str, Sequence[str]]]:
    """Matching rows in pieces, newest first: JSON fragments by column."""
    first = max(0, (query.low - _START).days)
    last = min(DAYS - 1, (query.high - timedelta(microseconds=1) - _START).days)
    low, high = f'"{_seven(query.low)}"', f'"{_seven(query.high)}"'
    for day in range(last, first - 1, -1):
        total = len(records.rhythm.events(CALL_STREAM, day))
        whole = query.low <= _START + timedelta(days=day) and query.high >= _START + timedelta(days=day + 1)
        for start in range(0, total, _CHUNK):
            chunk = records.calls(day, start, min(start + _CHUNK, total))
            if whole and not query.tests:
                yield chunk
                continue
            keep = [
                place
                for place, moment in enumerate(chunk["Timestamp"])
                if low <= moment < high
                and all(_passes(chunk[name][place], kind, value) for name, kind, value in query.tests)
            ]
            yield {name: [values[place] for place in keep] for name, values in chunk.items()}


def _seven(moment: datetime) -> str:
    """A time with seven decimals, as rows carry it."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%f") + "0Z"


def _passes(fragment: str, kind: str, value: object) -> bool:
    """One test of one JSON fragment."""
    text = fragment.strip('"')
    if kind == "hash":
        count, wanted = value if isinstance(value, tuple) else (1, 0)
        return bool(zlib.crc32(text.encode()) % int(count) == wanted)
    if isinstance(value, frozenset):
        return text in value
    same = text.lower() == str(value).lower() if kind == "=~" else text == str(value)
    return same != (kind == "!=")


def _summarized(records: Records, query: _Query) -> bytes:
    """Group and add up."""
    sums: dict[tuple[str, ...], list[int]] = {}
    seen: dict[tuple[str, ...], list[set[str]]] = {}
    for chunk in _chunks(records, query):
        keys = [[_binned(m, unit) for m in chunk["Timestamp"]] if unit else chunk[name] for name, unit in query.groups]
        size = len(chunk["Timestamp"])
        for place in range(size):
            key = tuple(column[place] for column in keys)
            totals = sums.setdefault(key, [0] * len(query.measures))
            sets = seen.setdefault(key, [set() for _ in query.measures])
            for number, (_, kind, column) in enumerate(query.measures):
                value = chunk[column][place].strip('"') if column else ""
                if kind == "count":
                    totals[number] += 1
                elif kind == "dcount":
                    sets[number].add(value)
                elif value not in ("null", ""):
                    totals[number] += int(value)
    rows = []
    for key in sorted(sums):
        cells = [f'"{_group_name(name, unit)}":{part}' for (name, unit), part in zip(query.groups, key, strict=True)]
        for number, (label, kind, _) in enumerate(query.measures):
            cells.append(f'"{label}":{len(seen[key][number]) if kind == "dcount" else sums[key][number]}')
        rows.append("{" + ",".join(cells) + "}")
    schema = [(_group_name(name, unit), "DateTime" if unit else HUNTING_COLUMNS[name]) for name, unit in query.groups]
    schema += [(label, "Int64") for label, _, _ in query.measures]
    text = ",".join(f'{{"name":"{name}","type":"{kind}"}}' for name, kind in schema)
    return f'"schema":[{text}],"results":[{",".join(rows[:ROW_CAP])}]'.encode()


def _group_name(name: str, unit: str) -> str:
    """The column a group shows as."""
    return name or ("Timestamp" if unit else name)


def _binned(fragment: str, unit: str) -> str:
    """A time cut to the day or hour."""
    return f'{fragment[:11]}T00:00:00Z"' if unit == "d" else f'{fragment[:14]}:00:00Z"'


def _parse(text: str, timespan: str | None) -> _Query:
    """Read a query. Raises GraphError 400 with the part that is not understood."""
    parts = [part.strip() for part in re.sub(r"//[^\n]*", "", text).replace("\n", " ").split("|")]
    if parts[0] != TABLE:
        raise _wrong(f"'where' operator: Failed to resolve table or column expression named '{parts[0][:80]}'")
    query = _Query()
    if timespan:
        query.low, query.high = _timespan(timespan)
    for part in parts[1:]:
        verb, _, rest = part.partition(" ")
        rest = rest.strip()
        if verb == "where":
            for clause in re.split(r"\s+and\s+", rest):
                _where(query, clause.strip())
        elif verb == "project":
            query.columns = [_column(name.strip()) for name in rest.split(",")]
        elif verb in ("take", "limit") and rest.isdigit():
            query.limit = min(query.limit, int(rest))
        elif verb in ("order", "sort") and re.fullmatch(r"by\s+Timestamp(\s+(asc|desc))?", rest):
            continue
        elif verb == "count" and not rest:
            query.grouped, query.measures = True, [("Count", "count", "")]
        elif verb == "summarize":
            _summarize(query, rest)
        else:
            raise _wrong(f"The operator '{verb[:40]}' is not supported here")
    return query


def _where(query: _Query, clause: str) -> None:
    """Add one condition."""
    between, compare = _BETWEEN.match(clause), _COMPARE.match(clause)
    hashed, inside, equal = _HASH.match(clause), _IN.match(clause), _EQUAL.match(clause)
    if between:
        query.low = max(query.low, _moment(between[1], between[2], between[3]))
        # KQL's `between` holds both ends.
        query.high = min(query.high, _moment(between[4], between[5], between[6]) + timedelta(microseconds=1))
    elif compare:
        moment, step = _moment(compare[2], compare[3], compare[4]), timedelta(microseconds=1)
        if compare[1] in (">=", ">"):
            query.low = max(query.low, moment + (step if compare[1] == ">" else timedelta()))
        else:
            query.high = min(query.high, moment + (step if compare[1] == "<=" else timedelta()))
    elif hashed:
        query.tests.append((_column(hashed[1]), "hash", (int(hashed[2]), int(hashed[3]))))
    elif inside:
        query.tests.append(
            (_column(inside[1]), "in", frozenset(item.strip().strip("\"'") for item in inside[2].split(",")))
        )
    elif equal:
        query.tests.append((_column(equal[1]), equal[2], equal[3].strip()))
    else:
        raise _wrong(f"The condition '{clause[:80]}' is not supported here")


def _summarize(query: _Query, text: str) -> None:
    """Read the measures and groups of a summarize."""
    measures, _, groups = text.partition(" by ")
    query.grouped = True
    for item in measures.split(","):
        found = _MEASURE.match(item.strip())
        if not found or found[2].lower() in ("min", "max"):
            raise _wrong(f"The aggregate '{item.strip()[:40]}' is not supported here")
        kind = found[2].lower()
        column = _column(found[3]) if found[3] else ""
        query.measures.append((found[1] or f"{kind}_{column}", kind, column))
    for item in re.split(r",(?![^(]*\))", groups) if groups else []:
        binned = _BIN.match(item.strip())
        query.groups.append((binned[1] or "", binned[2]) if binned else (_column(item.strip()), ""))


def _column(name: str) -> str:
    """A column of the table. Raises GraphError 400."""
    if name not in HUNTING_COLUMNS:
        raise _wrong(f"Failed to resolve scalar expression named '{name[:60]}'")
    return name


def _moment(text: str | None, amount: str | None, unit: str | None) -> datetime:
    """A `datetime(...)` or `ago(...)`."""
    if text is None:
        step = {"d": timedelta(days=1), "h": timedelta(hours=1), "m": timedelta(minutes=1)}[unit or "d"]
        return NOW - int(amount or 0) * step
    return read_time(text.strip("\"'"))


def _timespan(text: str) -> tuple[datetime, datetime]:
    """An ISO 8601 duration back from NOW, or an interval of two times."""
    if "/" in text:
        start, _, end = text.partition("/")
        span = _SPAN.match(end)
        begin = read_time(start)
        return begin, begin + _duration(span) if span else read_time(end)
    span = _SPAN.match(text)
    if not span:
        raise _wrong(f"Invalid timespan '{text[:40]}'")
    return NOW - _duration(span), NOW


def _duration(span: re.Match[str]) -> timedelta:
    """The length of an ISO 8601 duration."""
    return timedelta(days=int(span[1] or 0), hours=int(span[2] or 0), minutes=int(span[3] or 0))


def _wrong(message: str) -> GraphError:
    """The answer to a query with a mistake."""
    return GraphError(400, "BadRequest", f"{message}. Fix semantic errors in your query.")
