"""A chart over the hours of a week: when an app, or all of them, are at work."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import plotly.graph_objects as go

from appgov_lib import formats, theme
from appgov_lib.charts.figure import finish
from appgov_lib.tables import records

OFFICE_HOURS = range(7, 19)
LARGEST = 26
"""Diameter in pixels of the busiest hour."""


def week_hours(table: Any, column: str, chart_id: str, unit: str) -> go.Figure:
    """Draw `column` for each weekday and hour as a disc whose area is the amount.

    `table` has `weekday` (1 Monday to 7 Sunday), `hour` and `column`, any number of rows an hour; rows whose amount is
    not known are left out. Hours are UTC.
    """
    sums: dict[tuple[int, int], float] = defaultdict(float)
    for row in records(table):
        if row[column]:
            sums[int(row["weekday"]), int(row["hour"])] += row[column]
    whole = sum(sums.values())
    if not whole:
        words = f"No {unit} with an hour are known for these four weeks."
        return finish([], chart_id=chart_id, caption=words, columns=("Weekday", unit), rows=[], empty=words)
    top = max(sums.values())
    weekday, hour = min(sums, key=lambda key: (-sums[key], key))
    inside = sum(n for (d, h), n in sums.items() if d <= 5 and h in OFFICE_HOURS)
    places = sorted(sums)
    hover = [f"{_time(d, h)}: {formats.measure(sums[d, h], unit)}" for d, h in places]
    disc = {"size": [LARGEST * (sums[key] / top) ** 0.5 for key in places], "color": theme.colour("series-1")}
    trace = {
        "type": "scatter",
        "mode": "markers",
        "x": [h for _, h in places],
        "y": [d for d, _ in places],
        "text": hover,
        "hoverinfo": "text",
        "marker": {**disc, "line": {"width": 0}},
    }
    caption = (
        f"{inside / whole:.0%} of {formats.measure(whole, unit)} in four weeks came from Monday to Friday between "
        f"{OFFICE_HOURS.start}:00 and {OFFICE_HOURS.stop}:00 UTC; the busiest hour began {_time(weekday, hour)}."
    )
    return finish(
        [trace],
        chart_id=chart_id,
        caption=caption,
        columns=("Weekday", unit[:1].upper() + unit[1:], "Busiest hour (UTC)"),
        rows=[_row(day, sums, unit) for day in range(1, 8)],
        height=300,
        margin=(12, 16, 48, 56),
        xaxis={
            "tickvals": list(range(0, 24, 3)),
            "ticktext": [f"{h}:00" for h in range(0, 24, 3)],
            "range": [-0.8, 23.8],
            "title": {"text": "Hour (UTC)"},
            "showgrid": False,
        },
        yaxis={"tickvals": list(range(1, 8)), "ticktext": list(formats.WEEKDAYS), "range": [7.7, 0.3]},
    )


def _time(weekday: int, hour: int) -> str:
    """An hour of the week in words."""
    return f"{formats.WEEKDAYS[weekday - 1]} {hour}:00"


def _row(weekday: int, sums: dict[tuple[int, int], float], unit: str) -> list[str]:
    """One weekday of the table behind the chart."""
    hours = {h: n for (d, h), n in sums.items() if d == weekday}
    busiest = min(hours, key=lambda h: (-hours[h], h)) if hours else None
    return [
        formats.WEEKDAYS[weekday - 1],
        formats.measure(sum(hours.values()), unit),
        "none" if busiest is None else f"{busiest}:00",
    ]
