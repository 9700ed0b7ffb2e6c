"""What all charts share: labels made safe, axes with units, and the caption and table a figure carries."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from appgov_lib import formats, theme
from appgov_lib.lean import without_slow_grammar
from appgov_lib.period import Period

with without_slow_grammar():
    import plotly.io as pio

    # Only the figure's own data goes into a notebook: JupyterLab and the report bring plotly.js themselves.
    # (plotly imports its renderers at this first use of them.)
    pio.renderers.default = "plotly_mimetype"


def label(text: object, limit: int = 40) -> str:
    """Return a stranger's text for use inside a figure, where plotly reads a little HTML and `%{...}` templates."""
    return html.escape(formats.plain(text, limit), quote=False).replace("%{", "%&#123;")


def finish(
    traces: Iterable[Mapping[str, Any]],
    *,
    chart_id: str,
    caption: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    height: int = 300,
    margin: Sequence[int] = (8, 16, 40, 56),
    empty: str = "",
    **layout: Any,
) -> go.Figure:
    """Put traces, shared layout, caption and table together; `empty` is said in place of marks."""
    meta = {"id": chart_id, "caption": caption, "columns": list(columns), "rows": [list(row) for row in rows]}
    shape = {**theme.layout(height, margin), **layout, "meta": {"appgov": meta}}
    if empty:
        blank = {"visible": False}
        words = {"text": label(empty, 200), "showarrow": False, "x": 0.5, "y": 0.5, "xref": "paper", "yref": "paper"}
        shape |= {"xaxis": blank, "yaxis": blank, "annotations": [words], "height": 120}
    return go.Figure(data=[] if empty else list(traces), layout=shape)


def value_axis(unit: str, largest: float, title: str = "", **more: Any) -> dict[str, Any]:
    """Return a value axis from zero to a little above `largest`, four steps at most, labels in the unit's words."""
    top = largest or 1
    rough = top / 4
    power = 10 ** math.floor(math.log10(rough))
    step = next(power * m for m in (1, 2, 2.5, 5, 10) if power * m >= rough)
    if unit != "bytes":
        step = max(1, math.ceil(step))
    ticks = [n * step for n in range(math.floor(top * 1.02 / step) + 1)]
    words = [formats.size(t) if unit == "bytes" else formats.number(t) for t in ticks]
    said = title or ("Data returned" if unit == "bytes" else unit[:1].upper() + unit[1:])
    return {"range": [0, top * 1.08], "tickvals": ticks, "ticktext": words, "title": {"text": said}, **more}


def day_axis(period: Period) -> dict[str, Any]:
    """Return the axis of a period's days by position, labelled with weekday and date, at most eight labels."""
    step = max(1, -(-period.days // 8))
    shown = [(n, d) for n, d in enumerate(period.dates) if (period.days - 1 - n) % step == 0]
    text = [f"{formats.WEEKDAYS[d.weekday()]} {d.day}" for _, d in shown]
    room = [-0.5, period.days - 0.5]
    return {"tickvals": [n for n, _ in shown], "ticktext": text, "range": room, "showgrid": False}


def tag(text: str, x: float, y: float, token: str, **more: Any) -> dict[str, Any]:
    """Return a label standing to the right of a mark, in the mark's colour."""
    where = {"x": x, "y": y, "xanchor": "left", "xshift": 8, "showarrow": False, "align": "left"}
    return {"text": text, "font": {"color": theme.colour(token), "size": 14}, **where, **more}


def apart(heights: Sequence[float], gap: float) -> list[float]:
    """Move label positions apart so that neighbours, given from low to high, are at least `gap` away."""
    placed: list[float] = []
    for height in heights:
        placed.append(max(height, placed[-1] + gap) if placed else height)
    return placed
