"""A chart over weeks: how many findings a policy would have had, one line for each choice of thresholds."""

from __future__ import annotations

import datetime as dt
from typing import Any

import plotly.graph_objects as go

from appgov_lib import formats, theme
from appgov_lib.charts.figure import apart, finish, label, tag, value_axis
from appgov_lib.tables import Record, records

MAX_LINES = len(theme.SERIES)


def weekly_findings(table: Any, chart_id: str) -> go.Figure:
    """Draw `findings` per `week`, one line for each `thresholds`, as `appgov_lib.backtest.backtest` returns them.

    A week in which the policy was not evaluated is a gap. Of more than four choices the first four are drawn; the table
    has all.
    """
    rows = records(table)
    weeks = sorted({str(row["week"])[:10] for row in rows})
    lines: dict[str, dict[str, Record]] = {}
    for row in rows:
        lines.setdefault(str(row["thresholds"]) or "no threshold", {})[str(row["week"])[:10]] = row
    traces, ends = [], []
    for token, (name, found) in zip(theme.SERIES, lines.items(), strict=False):
        values = [found[week]["findings"] if week in found else None for week in weeks]
        hover = [f"{label(name)}, week to {w}: {_words(v)}" for w, v in zip(weeks, values, strict=True)]
        line = {"color": theme.colour(token), "width": 2.5}
        shape = {"type": "scatter", "mode": "lines+markers", "connectgaps": False, "hoverinfo": "text"}
        x = list(range(len(weeks)))
        traces.append({**shape, "name": label(name), "x": x, "y": values, "text": hover, "line": line})
        last = max((at for at, value in enumerate(values) if value is not None), default=None)
        if last is not None:
            ends.append((float(values[last] or 0), last, label(name, 28), token))
    known = [row["findings"] for row in rows if row["findings"] is not None]
    top = max(known, default=0) or 1
    ends.sort()
    heights = apart([end[0] for end in ends], top * 0.1)
    step = max(1, -(-len(weeks) // 8))
    shown = [(at, week) for at, week in enumerate(weeks) if (len(weeks) - 1 - at) % step == 0]
    caption = _caption(lines, weeks)
    return finish(
        traces,
        chart_id=chart_id,
        caption=caption,
        columns=("Week to", *map(formats.plain, lines)),
        rows=[
            [week, *(_words(found[week]["findings"] if week in found else None) for found in lines.values())]
            for week in weeks
        ],
        margin=(12, 190, 40, 56),
        empty="" if known else caption,
        xaxis={
            "tickvals": [at for at, _ in shown],
            "ticktext": [_short(week) for _, week in shown],
            "range": [-0.5, len(weeks) - 0.5],
            "showgrid": False,
        },
        yaxis=value_axis("findings", top),
        annotations=[tag(name, at, y, token) for (_, at, name, token), y in zip(ends, heights, strict=True)],
    )


def _caption(lines: dict[str, dict[str, Record]], weeks: list[str]) -> str:
    """The newest week in words, one choice after the other."""
    if not any(row["findings"] is not None for found in lines.values() for row in found.values()):
        return "The policy was not evaluated in any of these weeks; the table says why."
    told = [
        f"{formats.plain(name)}: {_words(found[weeks[-1]]['findings'])}"
        for name, found in lines.items()
        if weeks[-1] in found
    ]
    return f"Findings in the week to {formats.long_day(dt.date.fromisoformat(weeks[-1]))}: {'; '.join(told)}."


def _words(value: Any) -> str:
    """A number of findings, or that nobody knows."""
    return "not evaluated" if value is None else formats.number(value)


def _short(week: str) -> str:
    """A date as an axis shows it."""
    day = dt.date.fromisoformat(week)
    return f"{day.day} {formats.MONTHS[day.month - 1][:3]}"
