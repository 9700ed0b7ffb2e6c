"""Charts over months: amounts stacked by service or kind, months that were read in part marked as such."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go

from appgov_lib import formats, theme
from appgov_lib.charts.figure import apart, finish, label, tag, value_axis
from appgov_lib.tables import records


def monthly_bars(table: Any, by: str, column: str, chart_id: str, unit: str) -> go.Figure:
    """Draw `column` per month stacked by `by`, at most four values of it (the largest first).

    `table` has `month`, `by`, `column`, `days` and `days_covered`. A month of which days were not read, or which is
    not over, says so on its label; a month not read at all is a gap, not zero.
    """
    rows = records(table)
    months = sorted({formats.day(r["month"]) for r in rows})
    amounts: dict[str, dict[str, float]] = {}
    for row in rows:
        if row[column] is not None:
            amounts.setdefault(formats.plain(row[by]), {})[formats.day(row["month"])] = row[column]
    ranked = sorted(amounts, key=lambda name: (-sum(amounts[name].values()), name))[: len(theme.SERIES)]
    places = list(range(len(months)))
    traces, heights, base = [], [], 0.0
    for token, name in zip(theme.SERIES, ranked, strict=False):
        values = [amounts[name].get(month) for month in months]
        hover = [f"{label(name)}, {m[:7]}: {formats.measure(v, unit)}" for m, v in zip(months, values, strict=True)]
        marker = {"color": theme.colour(token), "line": {"width": 2, "color": theme.colour("surface")}}
        bar = {"type": "bar", "name": label(name), "x": places, "y": values, "text": hover, "marker": marker}
        traces.append({**bar, "hoverinfo": "text", "textposition": "none"})
        last = values[-1] or 0.0
        heights.append(base + last / 2)
        base += last
    sums = [sum(amounts[name].get(month, 0) for name in ranked) for month in months]
    top = max(sums, default=0) or 1
    caption = _caption(ranked, amounts, months, unit)
    tags = [
        tag(label(name, 16), len(months) - 0.62, y, token, xshift=2)
        for name, y, token in zip(ranked, apart(heights, top * 0.085), theme.SERIES, strict=False)
    ]
    return finish(
        traces,
        chart_id=chart_id,
        caption=caption,
        columns=("Month", *ranked, "Days read"),
        rows=[
            [m[:7], *(formats.measure(amounts[name].get(m), unit) for name in ranked), _days(rows, m)] for m in months
        ],
        margin=(12, 110, 56, 56),
        empty="" if any(sums) else caption,
        xaxis={"tickvals": places, "ticktext": [_month_label(rows, m) for m in months], "showgrid": False}
        | {"range": [-0.5, len(months) - 0.5]},
        yaxis=value_axis(unit, top),
        annotations=tags,
        barmode="stack",
    )


def _caption(ranked: list[str], amounts: dict[str, dict[str, float]], months: list[str], unit: str) -> str:
    """Say what the newest month holds, and which part is largest."""
    if not ranked:
        return f"No {unit} are known for these months."
    month = months[-1]
    now = {name: amounts[name][month] for name in ranked if month in amounts[name]}
    whole = sum(now.values())
    if not whole:
        return f"No {unit} are known for {_name(month)}."
    lead = max(sorted(now), key=lambda name: now[name])
    return f"{_name(month)} so far: {formats.measure(whole, unit)}, {now[lead] / whole:.0%} of it {lead}."


def _name(month: str) -> str:
    """Write a month as a reader says it."""
    return f"{formats.MONTHS[int(month[5:7]) - 1]} {month[:4]}"


def _days(rows: list[dict[str, Any]], month: str) -> str:
    """Say how many days of a month were read, of those there are so far."""
    found = next(r for r in rows if formats.day(r["month"]) == month)
    return f"{formats.number(found['days_covered'])} of {formats.number(found['days'])}"


def _month_label(rows: list[dict[str, Any]], month: str) -> str:
    """Write the label of a month, with its days read where some are missing."""
    found = next(r for r in rows if formats.day(r["month"]) == month)
    name = formats.MONTHS[int(month[5:7]) - 1][:3]
    partly = found["days_covered"] < found["days"]
    return f"{name} {month[:4]}<br>{_days(rows, month)} days" if partly else f"{name} {month[:4]}"
