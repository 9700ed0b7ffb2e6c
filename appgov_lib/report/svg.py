"""Geometry of the pictures that need no script: numbers in, coordinates out. Templates draw them.

Coordinates are rounded to a tenth, so the same data gives the same bytes.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from appgov_lib import formats, theme
from appgov_lib.period import Period

TOP, BOTTOM = 20.0, 124.0
LINES_WIDTH, HISTORY_WIDTH, STRIP_WIDTH = 360.0, 560.0, 1000.0
LEAST_PIECE = 12.0


@dataclass(frozen=True)
class Piece:
    """One part of a strip."""

    kind: str
    x: float
    width: float
    title: str


@dataclass(frozen=True)
class Path:
    """One line."""

    kind: str
    """`now` or `before`."""
    d: str


@dataclass(frozen=True)
class Dot:
    """One measured day of this period."""

    x: float
    y: float
    title: str


@dataclass(frozen=True)
class Lines:
    """This period against the one before, day by day."""

    caption: str
    top: str
    """Label of the upper rule."""
    first: str
    last: str
    paths: Sequence[Path]
    dots: Sequence[Dot]
    gaps: str
    """Said when days of this period are not known."""


@dataclass(frozen=True)
class Bar:
    """One day of a history."""

    kind: str
    x: float
    y: float
    width: float
    height: float
    title: str


@dataclass(frozen=True)
class History:
    """Many days as bars, those of the period marked."""

    caption: str
    top: str
    first: str
    last: str
    bars: Sequence[Bar]
    gaps: str
    empty: str


def strip(counts: Mapping[str, int]) -> list[Piece]:
    """Cut a strip by severity; a piece is never thinner than can be seen, pieces are 4 units apart."""
    present = [(s, counts[s]) for s in theme.SEVERITIES if counts.get(s)]
    whole = sum(n for _, n in present)
    if not whole:
        return [Piece("none", 0.0, STRIP_WIDTH, "no open finding")]
    room = STRIP_WIDTH - 4 * (len(present) - 1) - LEAST_PIECE * len(present)
    pieces, x = [], 0.0
    for severity, n in present:
        width = LEAST_PIECE + room * n / whole
        pieces.append(Piece(severity, round(x, 1), round(width, 1), f"{severity}: {n:,}"))
        x += width + 4
    return pieces


def _y(value: float, top: float) -> float:
    """Return the height of a value between the two rules."""
    return round(BOTTOM - (BOTTOM - TOP) * value / top, 1)


def _path(values: Sequence[float | None], top: float) -> str:
    """Return path data that lifts the pen where a day is not known."""
    step = LINES_WIDTH / max(len(values) - 1, 1)
    parts, pen = [], "M"
    for n, value in enumerate(values):
        if value is None:
            pen = "M"
            continue
        parts.append(f"{pen}{round(n * step, 1)} {_y(value, top)}")
        pen = "L"
    return " ".join(parts)


def lines(name: str, by_day: Mapping[dt.date, float | None], period: Period, unit: str) -> Lines:
    """Draw a measure over this period and the one before. `by_day` holds no entry for a day nobody looked at."""
    now = [by_day.get(d) for d in period.dates]
    before = [by_day.get(d) for d in period.previous.dates]
    known = [v for v in (*now, *before) if v is not None]
    top = max(known, default=0.0) or 1.0
    total = sum(v for v in now if v is not None) if any(v is not None for v in now) else None
    earlier = sum(v for v in before if v is not None) if any(v is not None for v in before) else None
    words = "" if unit == "bytes" else unit
    step = LINES_WIDTH / max(period.days - 1, 1)
    gaps = sum(v is None for v in now)
    return Lines(
        caption=f"{name}: {formats.measure(total, unit)}, {formats.change(total, earlier, unit)}.",
        top=formats.measure(top, "bytes" if unit == "bytes" else words),
        first=formats.day(period.start),
        last=formats.day(period.as_of),
        paths=[Path(kind, d) for kind, values in (("before", before), ("now", now)) if (d := _path(values, top))],
        dots=[
            Dot(round(n * step, 1), _y(v, top), f"{formats.day(d)}: {formats.measure(v, unit)}")
            for n, (d, v) in enumerate(zip(period.dates, now, strict=True))
            if v is not None
        ],
        gaps=f"{formats.count(gaps, 'day')} of this period not known." if gaps else "",
    )


def history(
    name: str,
    values: Mapping[dt.date, float],
    period: Period,
    unit: str,
    flagged: Sequence[dt.date] = (),
    days: int = 56,
    expected: Mapping[dt.date, tuple[float, float]] | None = None,
) -> History:
    """Draw `days` days up to the as-of day, from the first known one; the period and flagged days stand out.

    `expected` holds the lowest and highest value expected on a day, drawn as a band behind the day's bar.
    """
    span = Period(period.as_of, max(days, period.days)).dates
    first = min(values, default=None)
    shown = [d for d in span if first is not None and d >= min(first, period.start)]
    known = [values[d] for d in shown if d in values]
    ranges = expected or {}
    most = max(known, default=0.0)
    # a wide range may not press the bars flat
    top = max([most, *(min(upper, 1.5 * most) for _, upper in ranges.values())]) or 1.0
    step = HISTORY_WIDTH / max(len(shown), 1)
    bars = []
    for n, day in enumerate(shown):
        x, width = round(n * step + step * 0.1, 1), round(step * 0.8, 1)
        value = values.get(day)
        if value is None and first is not None and day < first:
            continue
        if value is None:
            bars.append(Bar("gap", x, TOP, width, BOTTOM - TOP, f"{day}: not known"))
            continue
        if day in ranges:
            lower, upper = (min(edge, top) for edge in ranges[day])
            edges = f"{formats.measure(ranges[day][0], unit)} to {formats.measure(ranges[day][1], unit)}"
            high = _y(upper, top)
            bars.append(Bar("expected", round(n * step, 1), high, round(step, 1), round(_y(lower, top) - high, 1),
                            f"{day}: expected {edges}"))  # fmt: skip
        kind = "bar flag" if day in flagged else "bar now" if day >= period.start else "bar"
        y = _y(value, top)
        bars.append(Bar(kind, x, y, width, round(BOTTOM - y, 1), f"{day}: {formats.measure(value, unit)}"))
    missing = sum(bar.kind == "gap" for bar in bars)
    notes = [f"Blank frames: {formats.count(missing, 'day')} nobody looked at."] if missing else []
    if first is not None and first > span[0]:
        notes.append(f"First day in the logs: {first}.")
    total = sum(v for d, v in values.items() if period.start <= d <= period.as_of)
    seen = any(period.start <= d <= period.as_of for d in values)
    said = f"{formats.measure(total, unit)} in the period" if seen else "not known for the period"
    marked = f", {formats.count(len(set(flagged)), 'day')} outside its own past" if flagged else ""
    return History(
        caption=f"{name}: {said}{marked}.",
        top=formats.measure(top, unit),
        first=formats.day(shown[0]) if shown else "",
        last=formats.day(period.as_of),
        bars=bars if known else [],
        gaps=" ".join(notes),
        empty=f"{name}: no day is known.",
    )
