"""Charts over days: this period against the one before, services stacked, and anomalies in their band."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import plotly.graph_objects as go

from appgov_lib import formats, theme
from appgov_lib.charts.figure import apart, day_axis, finish, label, tag, value_axis
from appgov_lib.period import Period
from appgov_lib.tables import Record, records

OTHER = "All other"
MAX_SERIES = len(theme.SERIES)


def _sum_by_day(rows: Iterable[Record], column: str) -> dict[str, float | None]:
    """Add `column` up per day; a day whose values are all unknown stays unknown."""
    found: dict[str, float | None] = {}
    for row in rows:
        day, value = formats.day(row["day"]), row[column]
        found[day] = value if found.get(day) is None else found[day] if value is None else (found[day] or 0) + value
    return found


def _total(values: Iterable[float | None]) -> float | None:
    """Add up what is known; None when nothing is."""
    known = [v for v in values if v is not None]
    return sum(known) if known else None


def daily_lines(table: Any, period: Period, column: str, chart_id: str, unit: str) -> go.Figure:
    """Draw `column` per day: this period solid, the period before it thin and dotted on the same weekdays.

    `table` has `day` and `column`, any number of rows a day.
    """
    by_day = _sum_by_day(records(table), column)
    now = [by_day.get(d.isoformat()) for d in period.dates]
    before = [by_day.get(d.isoformat()) for d in period.previous.dates]
    total, earlier = _total(now), _total(before)
    caption = (
        f"{formats.measure(total, unit)} in the {period.days} days to {formats.long_day(period.as_of)}: "
        f"{formats.change(total, earlier, unit)} compared with the {period.days} days before."
    )
    positions = list(range(period.days))
    traces, ends = [], []
    for name, values, dates, token in (
        ("period before", before, period.previous.dates, "previous"),
        ("this period", now, period.dates, "series-1"),
    ):
        hover = [f"{formats.day(d)}: {formats.measure(v, unit)}" for d, v in zip(dates, values, strict=True)]
        is_now = name == "this period"
        line = {"color": theme.colour(token), "width": 2.5 if is_now else 1.5, "dash": "solid" if is_now else "dot"}
        marker = {"size": 7 if is_now else 4, "color": theme.colour(token)}
        shared = {"type": "scatter", "mode": "lines+markers", "connectgaps": False, "hoverinfo": "text"}
        traces.append(
            {**shared, "name": name, "x": positions, "y": values, "text": hover, "line": line, "marker": marker}
        )
        last = max((n for n, v in enumerate(values) if v is not None), default=None)
        if last is not None:
            ends.append((values[last] or 0.0, last, name, token))
    top = max((v for v in (*now, *before) if v is not None), default=0) or 1
    ends.sort()
    heights = apart([e[0] for e in ends], top * 0.1)
    tags = [tag(name, at, y, token) for (_, at, name, token), y in zip(ends, heights, strict=True)]
    rows = [
        [d.isoformat(), formats.measure(v, unit), p.isoformat(), formats.measure(w, unit)]
        for d, v, p, w in zip(period.dates, now, period.previous.dates, before, strict=True)
    ]
    return finish(
        traces,
        chart_id=chart_id,
        caption=caption,
        columns=("Day", "This period", "Day before", "Period before"),
        rows=rows,
        margin=(12, 110, 40, 56),
        empty="" if ends else f"No {unit} are known for this period or the one before it.",
        xaxis=day_axis(period),
        yaxis=value_axis(unit, top),
        annotations=tags,
    )


def _top_series(rows: Iterable[Record], by: str, column: str) -> dict[str, dict[str, float]]:
    """Sum `column` per value of `by` and day, keeping the largest series and adding the rest up as one."""
    sums: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for row in rows:
        if row[column] is not None:
            sums[formats.plain(row[by])][formats.day(row["day"])] += row[column]
    ranked = sorted(sums, key=lambda name: (name == "Other", -sum(sums[name].values()), name))
    if len(ranked) <= MAX_SERIES:
        return {name: sums[name] for name in ranked}
    kept = {name: sums[name] for name in ranked[: MAX_SERIES - 1]}
    rest: dict[str, float] = defaultdict(float)
    for name in ranked[MAX_SERIES - 1 :]:
        for day, value in sums[name].items():
            rest[day] += value
    return kept | {OTHER: rest}


def service_bars(table: Any, period: Period, column: str, chart_id: str, unit: str) -> go.Figure:
    """Draw `column` per day stacked by service: the three largest, and all other as the fourth.

    `table` has `day`, `service` and `column`; unknown values are left out of the sums.
    """
    rows = [r for r in records(table) if period.start.isoformat() <= formats.day(r["day"]) <= period.as_of.isoformat()]
    series = _top_series(rows, "service", column)
    totals = {name: sum(days.values()) for name, days in series.items()}
    whole = sum(totals.values())
    lead = next(iter(series), "")
    caption = (
        f"{formats.plain(lead)} accounts for {formats.measure(totals[lead], unit)} of "
        f"{formats.measure(whole, unit)} ({totals[lead] / whole:.0%}) in the {period.days} days to "
        f"{formats.long_day(period.as_of)}."
        if whole
        else f"No {unit} are known for the {period.days} days to {formats.long_day(period.as_of)}."
    )
    traces, heights, base = [], [], 0.0
    for token, (name, days) in zip(theme.SERIES, series.items(), strict=False):
        values = [days.get(d.isoformat()) for d in period.dates]
        hover = [f"{label(name)}, {d}: {formats.measure(v, unit)}" for d, v in zip(period.dates, values, strict=True)]
        marker = {"color": theme.colour(token), "line": {"width": 2, "color": theme.colour("surface")}}
        x = list(range(period.days))
        traces.append({"type": "bar", "name": label(name), "x": x, "y": values, "text": hover, "marker": marker})
        last = days.get(period.as_of.isoformat(), 0.0)
        heights.append(base + last / 2)
        base += last
    for trace in traces:
        trace |= {"hoverinfo": "text", "textposition": "none"}
    top = max((sum(days.get(d.isoformat(), 0) for days in series.values()) for d in period.dates), default=0) or 1
    places = apart(heights, top * 0.085)
    tags = [
        tag(label(name, 16), period.days - 0.62, y, token, xshift=2)
        for name, y, token in zip(series, places, theme.SERIES, strict=False)
    ]
    return finish(
        traces,
        chart_id=chart_id,
        caption=caption,
        columns=("Day", *series),
        rows=[
            [d.isoformat(), *(formats.measure(s.get(d.isoformat()), unit) for s in series.values())]
            for d in period.dates
        ],
        margin=(12, 110, 40, 56),
        empty="" if whole else caption,
        xaxis=day_axis(period),
        yaxis=value_axis(unit, top),
        annotations=tags,
        barmode="stack",
    )


def anomaly(history: Any, judged: Any, chart_id: str, rank: int = 1) -> go.Figure:
    """Draw the app with the `rank`-th strongest anomaly: its days, the expected band, and the flagged days.

    More than expected comes before less than expected; an app is drawn once, in its strongest measure.

    `history` has `app_id, metric, day, value`; `judged` is the table `anomalies` with `display_name`.
    """
    flagged = [r for r in records(judged) if r["is_anomaly"]]
    best: dict[str, Record] = {}
    for row in sorted(flagged, key=_strength):
        best.setdefault(row["app_id"], row)
    if len(best) < rank:
        words = f"There is no anomaly number {rank} in this period: {formats.number(len(best))} in all."
        return finish([], chart_id=chart_id, caption=words, columns=("Day", "Observed"), rows=[], empty=words)
    worst = list(best.values())[rank - 1]
    unit = "bytes" if worst["metric"].startswith("bytes") else worst["metric"].replace("_", " ").replace("api", "API")
    mine = [r for r in records(judged) if (r["app_id"], r["metric"]) == (worst["app_id"], worst["metric"])]
    mine.sort(key=lambda r: formats.day(r["day"]))
    days = [r for r in records(history) if (r["app_id"], r["metric"]) == (worst["app_id"], worst["metric"])]
    days.sort(key=lambda r: formats.day(r["day"]))
    band = [r for r in mine if r["lower"] is not None and r["upper"] is not None]
    edge = {"type": "scatter", "mode": "lines", "line": {"width": 0}, "hoverinfo": "skip"}
    edge["x"] = [formats.day(r["day"]) for r in band]
    traces = [
        {**edge, "y": [max(r["lower"], 0) for r in band]},
        {**edge, "y": [r["upper"] for r in band], "fill": "tonexty", "fillcolor": theme.colour("band")},
        _line([formats.day(r["day"]) for r in days], [r["value"] for r in days], unit),
        _flags([r for r in mine if r["is_anomaly"]], unit),
    ]
    expected = formats.measure(worst["expected"], unit)
    highest = max([0.0, *(r["value"] or 0 for r in days), *(r["upper"] for r in band)]) * 1.06
    caption = (
        f"{formats.plain(worst.get('display_name') or worst['app_id'])}: {formats.measure(worst['observed'], unit)} on "
        f"{formats.day(worst['day'])}, where about {expected} was expected "
        f"(between {formats.measure(worst['lower'], unit)} and {formats.measure(worst['upper'], unit)})."
    )
    return finish(
        traces,
        chart_id=chart_id,
        caption=caption,
        columns=("Day", "Observed", "Expected from", "Expected to", "Flagged"),
        rows=[
            [
                formats.day(r["day"]),
                *(formats.measure(r[c], unit) for c in ("observed", "lower", "upper")),
                "yes" if r["is_anomaly"] else "no",
            ]
            for r in mine
        ],
        margin=(16, 24, 40, 56),
        xaxis={"type": "date", "tickformat": "%-d %b", "nticks": 8, "showgrid": False},
        yaxis=value_axis(unit, highest),
    )


def _strength(row: Record) -> tuple[bool, float, str, str, str]:
    """Return the sort key of flagged days: increases first, then by score; the rest keeps the order stable."""
    more = row["expected"] is not None and row["observed"] > row["expected"]
    return (not more, -abs(row["score"] or 0), str(row["app_id"]), row["metric"], formats.day(row["day"]))


def _line(x: Sequence[str], y: Sequence[float | None], unit: str) -> dict[str, Any]:
    """Return the observed days as a line with a hover text per day."""
    hover = [f"{d}: {formats.measure(v, unit)}" for d, v in zip(x, y, strict=True)]
    line = {"color": theme.colour("series-1"), "width": 2}
    shape: dict[str, Any] = {"type": "scatter", "mode": "lines+markers", "marker": {"size": 4}, "hoverinfo": "text"}
    return {**shape, "x": list(x), "y": list(y), "text": hover, "line": line, "connectgaps": False}


def _flags(rows: Sequence[Record], unit: str) -> dict[str, Any]:
    """Return the flagged days as ringed marks with their value written above."""
    ring = {"size": 13, "symbol": "circle-open", "color": theme.colour("flag"), "line": {"width": 3}}
    shape: dict[str, Any] = {
        "type": "scatter",
        "mode": "markers+text",
        "textposition": "top center",
        "hoverinfo": "skip",
    }
    shape |= {"textfont": {"color": theme.colour("flag"), "size": 14}, "marker": ring, "cliponaxis": False}
    highest = max((r["observed"] for r in rows), default=None)
    # Neighbouring days stand too close for a label each: the largest has one, all are in the table.
    labelled = next((n for n, r in enumerate(rows) if r["observed"] == highest), None)
    words = [formats.measure(r["observed"], unit) if n == labelled else "" for n, r in enumerate(rows)]
    return {**shape, "x": [formats.day(r["day"]) for r in rows], "y": [r["observed"] for r in rows], "text": words}
