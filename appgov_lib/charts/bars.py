"""Charts of parts and ranks: largest apps, findings by severity, apps by privilege level."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from appgov_lib import formats, theme
from appgov_lib.charts.figure import apart, finish, label, value_axis
from appgov_lib.tables import records


def top_bars(
    table: Any, column: str, chart_id: str, unit: str, previous: str = "", name: str = "display_name", limit: int = 10
) -> go.Figure:
    """Draw the `limit` largest rows of `column` as bars, with a tick where the period before stood.

    `table` has `name`, `column` and, if named, `previous`; rows without a known value are left out and counted.
    """
    found = records(table)
    known = sorted((r for r in found if r[column]), key=lambda r: (-r[column], formats.plain(r[name])))
    top = known[:limit]
    whole = sum(r[column] for r in known)
    share = sum(r[column] for r in top)
    caption = (
        f"The {len(top)} largest of {formats.count(len(known), 'app')} account for {formats.measure(share, unit)} of "
        f"{formats.measure(whole, unit)} ({share / whole:.0%})."
        if top
        else f"No app has a known number of {unit} in this period."
    )
    places = list(range(len(top)))
    values = [r[column] for r in top]
    words = [formats.measure(v, "bytes" if unit == "bytes" else "") for v in values]
    earlier = [r[previous] if previous else None for r in top]
    hover = [f"{label(r[name], 80)}: {w}" for r, w in zip(top, words, strict=True)]
    ends = [max(v, e or 0) for v, e in zip(values, earlier, strict=True)]
    bar: dict[str, Any] = {"type": "bar", "orientation": "h", "y": places, "x": values, "hoverinfo": "text"}
    bar |= {"marker": {"color": theme.colour("series-1")}, "hovertext": hover, "name": "this period"}
    said: dict[str, Any] = {
        "type": "scatter",
        "mode": "text",
        "y": places,
        "x": ends,
        "text": [f"\N{NO-BREAK SPACE}{w}" for w in words],
    }
    said |= {"textposition": "middle right", "cliponaxis": False, "hoverinfo": "skip", "name": "value"}
    traces = [bar, said]
    if any(e is not None for e in earlier):
        tick: dict[str, Any] = {"symbol": "line-ns", "size": 18, "line": {"width": 3, "color": theme.colour("text")}}
        before = [f"period before: {formats.measure(e, unit)}" for e in earlier]
        shown = {"type": "scatter", "mode": "markers", "y": places, "x": earlier, "marker": tick, "hoverinfo": "text"}
        traces.append({**shown, "hovertext": before, "name": "period before"})
        caption += " The upright tick marks the period before."
    names = [label(r[name], 34) for r in top]
    return finish(
        traces,
        chart_id=chart_id,
        caption=caption,
        columns=("App", "This period", "Period before") if previous else ("App", "This period"),
        rows=[
            [formats.plain(r[name]), w, *([formats.measure(r[previous], unit)] if previous else [])]
            for r, w in zip(top, words, strict=True)
        ],
        height=90 + 32 * max(len(top), 2),
        margin=(8, 84, 48, 8),
        empty="" if top else caption,
        xaxis=value_axis(unit, max(ends, default=0)),
        yaxis={"tickvals": places, "ticktext": names, "autorange": "reversed", "showgrid": False},
    )


def _pieces(counts: Mapping[str, Mapping[str, float]], tokens: Mapping[str, str], words: bool) -> list[dict[str, Any]]:
    """Return horizontal bars, one row per key of `counts`, one piece per key of `tokens`.

    With `words`, a piece says its name and number where it is wide enough to hold them.
    """
    rows = list(counts)
    widest = max((sum(c.values()) for c in counts.values()), default=0) or 1
    traces = []
    for key, token in tokens.items():
        values = [counts[row].get(key, 0) for row in rows]
        hover = [f"{key}: {formats.number(v)}" for v in values]
        inside = [f"{key} {formats.number(v)}" if words and v / widest > 0.13 else "" for v in values]
        marker = {"color": theme.colour(token), "line": {"width": 2, "color": theme.colour("surface")}}
        shape: dict[str, Any] = {
            "type": "bar",
            "orientation": "h",
            "textposition": "inside",
            "insidetextanchor": "middle",
        }
        shape |= {"textangle": 0, "constraintext": "none", "hoverinfo": "text", "hovertext": hover}
        shape["textfont"] = {"color": theme.colour("on-fill"), "size": 14}
        traces.append(
            {**shape, "name": key, "y": list(range(len(rows))), "x": values, "text": inside, "marker": marker}
        )
    return traces


def severity_strip(table: Any, chart_id: str) -> go.Figure:
    """Draw open findings as one bar cut by severity. `table` has `severity` and `findings` (a count)."""
    counts = {formats.plain(r["severity"]): r["findings"] or 0 for r in records(table)}
    whole = sum(counts.values())
    present = [s for s in theme.SEVERITIES if counts.get(s)]
    parts = [f"{formats.number(counts[s])} {s}" for s in present]
    caption = f"{formats.count(whole, 'open finding')}: {', '.join(parts)}." if whole else "There is no open finding."
    starts, base = [], 0.0
    for severity in present:
        starts.append(base)
        base += counts[severity]
    # A piece may be too thin for its label, so labels stand above the bar, keep apart and end within it.
    gap = whole * 0.15
    places = [min(x, whole - gap * (len(present) - n)) for n, x in enumerate(apart(starts, gap))]
    above: dict[str, Any] = {"y": 0.46, "yanchor": "bottom", "xanchor": "left", "showarrow": False}
    above["font"] = {"color": theme.colour("text"), "size": 14}
    words = [
        {**above, "x": max(x, 0), "text": f"<b>{theme.SEVERITY_LETTERS[s]}</b> {part}"}
        for s, part, x in zip(present, parts, places, strict=True)
    ]
    return finish(
        _pieces({"open": counts}, {s: s for s in theme.SEVERITIES}, words=False),
        chart_id=chart_id,
        caption=caption,
        columns=("Severity", "Open findings"),
        rows=[[s, formats.number(counts.get(s, 0))] for s in theme.SEVERITIES],
        height=120,
        margin=(8, 24, 44, 8),
        empty="" if whole else caption,
        annotations=words,
        barmode="stack",
        bargap=0.15,
        xaxis=value_axis("open findings", whole, showgrid=False),
        yaxis={"visible": False, "range": [-0.5, 0.9]},
    )


def privilege_bars(table: Any, chart_id: str) -> go.Figure:
    """Draw apps per privilege level, cut by origin; `table` has `privilege_level`, `app_origin`, `apps` (a count)."""
    counts = _by_level(table, "app_origin", "apps")
    whole = sum(sum(c.values()) for c in counts.values())
    high = sum(counts["high"].values())
    outside = formats.number(counts["high"].get("external", 0))
    caption = (
        f"{formats.number(high)} of {formats.count(whole, 'app')} ({high / whole:.0%}) hold high privilege; "
        f"{outside} of them come from another organisation."
        if whole
        else "No app is known in this tenant."
    )
    return _level_bars(counts, ("internal", "external", "microsoft", "unknown"), chart_id, caption, "apps")


def usage_bars(table: Any, chart_id: str) -> go.Figure:
    """Draw permissions per privilege level, cut by verdict.

    `table` has `privilege_level`, `usage` (used, unused or unknown) and `permissions` (a count).
    """
    counts = {level: c for level, c in _by_level(table, "usage", "permissions").items() if level != "none" or c}
    whole = sum(sum(c.values()) for c in counts.values())
    high = counts["high"]
    caption = (
        f"Of {formats.count(sum(high.values()), 'permission')} of high privilege {formats.number(high.get('used', 0))} "
        f"were used, {formats.number(high.get('unused', 0))} were not; of {formats.number(high.get('unknown', 0))} "
        "it is not known."
        if whole
        else "No permission is known in this tenant."
    )
    return _level_bars(counts, ("used", "unused", "unknown"), chart_id, caption, "permissions")


def _by_level(table: Any, by: str, column: str) -> dict[str, dict[str, float]]:
    """Add `column` up per privilege level and value of `by`; a level nobody knows is one of its own."""
    counts: dict[str, dict[str, float]] = {level: {} for level in theme.LEVELS}
    for row in records(table):
        level, part = (formats.plain(row[name] or formats.UNKNOWN) for name in ("privilege_level", by))
        counts.setdefault(level, {})[part] = counts.get(level, {}).get(part, 0) + row[column]
    return counts


def _level_bars(
    counts: Mapping[str, Mapping[str, float]], order: Sequence[str], chart_id: str, caption: str, unit: str
) -> go.Figure:
    """Draw one bar per level, cut into the parts of `order` that occur."""
    parts = [part for part in order if any(part in c for c in counts.values())]
    largest = max((sum(c.values()) for c in counts.values()), default=0)
    return finish(
        _pieces(counts, dict(zip(parts, theme.SERIES, strict=False)), words=True),
        chart_id=chart_id,
        caption=caption,
        columns=("Privilege", *parts),
        rows=[[level, *(formats.number(c.get(p, 0)) for p in parts)] for level, c in counts.items()],
        height=120 + 44 * len(counts),
        margin=(34, 16, 48, 8),
        empty="" if largest else caption,
        barmode="stack",
        xaxis=value_axis(unit, largest),
        showlegend=True,
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "traceorder": "normal"},
        yaxis={
            "tickvals": list(range(len(counts))),
            "ticktext": list(counts),
            "autorange": "reversed",
            "showgrid": False,
        },
    )
