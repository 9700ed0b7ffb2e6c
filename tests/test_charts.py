"""Figures: what they say, what they carry, and that a stranger's text stays text."""

from __future__ import annotations

import datetime as dt
import itertools
import json
import re
from pathlib import Path
from typing import Any

import pytest

from appgov_lib import charts, theme
from appgov_lib.charts.figure import apart, value_axis
from appgov_lib.period import Period

PERIOD = Period.ending("2026-11-15", 7)
DAYS = [*PERIOD.previous.dates, *PERIOD.dates]
HOSTILE = '<a href="javascript:alert(1)">Acme</a> %{meta.secret} \u202egnp.exe'

VERDICTS = [
    {"privilege_level": "high", "usage": usage, "permissions": n}
    for usage, n in (("used", 5), ("unused", 2), ("unknown", 1))
] + [{"privilege_level": "low", "usage": "used", "permissions": 30}]
MONTHS = [
    {"month": dt.date(2026, month, 1), "service": service, "bytes": amount, "days": days, "days_covered": read}
    for month, days, read, amount in ((9, 30, 30, 4e6), (10, 31, 0, None), (11, 15, 11, 1e6))
    for service in ("Exchange", "Teams")
]
HOURS = [
    {"app_id": app, "weekday": weekday, "hour": hour, "calls": calls}
    for app, weekday, hour, calls in (("a", 2, 9, 60), ("b", 2, 9, 20), ("a", 7, 3, 20), ("b", 6, 3, None))
]


def meta(figure: Any) -> dict[str, Any]:
    """Id, caption and table a figure carries."""
    return json.loads(figure.to_json())["layout"]["meta"]["appgov"]


def daily(column: str = "sign_ins", skip: int | None = None) -> list[dict[str, Any]]:
    """Two periods of days with the values 10, 11, 12 ...; one day may be left out."""
    return [{"day": d, column: 10 + n} for n, d in enumerate(DAYS) if n != skip]


def hostile_apps(count: int = 12) -> list[dict[str, Any]]:
    """Apps whose names try to be HTML, templates, dates and numbers."""
    names = [HOSTILE, "1e5", "2026-01-01", "A & B", *[f"App {n}" for n in range(count)]]
    return [{"display_name": name, "calls": 1000 - n, "before": 900} for n, name in enumerate(names[:count])]


def every_figure() -> dict[str, Any]:
    """One figure of each kind."""
    history = [{"app_id": "a", "metric": "bytes_returned", "day": d, "value": 1e6} for d in DAYS]
    judged = [
        {"app_id": "a", "display_name": HOSTILE, "metric": "bytes_returned", "day": d, "observed": 9e6, "expected": 1e6}
        | {"lower": 5e5, "upper": 2e6, "score": 8.0, "is_anomaly": d == PERIOD.as_of}
        for d in PERIOD.dates
    ]
    services = [{"day": d, "service": s, "bytes": 1e6} for d in PERIOD.dates for s in ("Exchange", "Teams", "OneDrive")]
    levels = [{"privilege_level": "high", "app_origin": "external", "apps": 3}]
    levels += [{"privilege_level": None, "app_origin": "internal", "apps": 1}]
    weeks = [{"week": d, "thresholds": f"x = {n}", "findings": n} for d in PERIOD.dates for n in range(1, 7)]
    return {
        "daily_lines": charts.daily_lines(daily(), PERIOD, "sign_ins", "lines", "sign-ins"),
        "service_bars": charts.service_bars(services, PERIOD, "bytes", "services", "bytes"),
        "top_bars": charts.top_bars(hostile_apps(), "calls", "top", "API calls", previous="before"),
        "anomaly": charts.anomaly(history, judged, "anomaly"),
        "severity_strip": charts.severity_strip([{"severity": "high", "findings": 2}], "strip"),
        "privilege_bars": charts.privilege_bars(levels, "levels"),
        "usage_bars": charts.usage_bars(VERDICTS, "verdicts"),
        "monthly_bars": charts.monthly_bars(MONTHS, "service", "bytes", "months", "bytes"),
        "weekly_findings": charts.weekly_findings(weeks, "weeks"),
        "week_hours": charts.week_hours(HOURS, "calls", "hours", "API calls"),
    }


EMPTY = {
    "daily_lines": lambda: charts.daily_lines([], PERIOD, "sign_ins", "x", "sign-ins"),
    "service_bars": lambda: charts.service_bars([], PERIOD, "bytes", "x", "bytes"),
    "top_bars": lambda: charts.top_bars([], "calls", "x", "API calls"),
    "anomaly": lambda: charts.anomaly([], [], "x"),
    "severity_strip": lambda: charts.severity_strip([], "x"),
    "privilege_bars": lambda: charts.privilege_bars([], "x"),
    "usage_bars": lambda: charts.usage_bars([], "x"),
    "monthly_bars": lambda: charts.monthly_bars([], "service", "bytes", "x", "bytes"),
    "weekly_findings": lambda: charts.weekly_findings([], "x"),
    "week_hours": lambda: charts.week_hours([], "calls", "x", "API calls"),
}


@pytest.mark.parametrize("kind", list(EMPTY))
def test_every_figure_has_id_caption_table_and_at_most_four_series(kind):
    figure = every_figure()[kind]
    said = meta(figure)
    assert re.fullmatch(r"[a-z0-9-]+", said["id"])
    assert said["caption"].endswith(".")
    assert re.search(r"\d", said["caption"])
    assert said["rows"]
    assert {len(row) for row in said["rows"]} == {len(said["columns"])}
    assert len([t for t in figure.data if t.type == "bar"]) <= 5
    assert not figure.layout.showlegend or kind in {"privilege_bars", "usage_bars"}


@pytest.mark.parametrize("kind", list(EMPTY))
def test_the_same_table_gives_the_same_bytes(kind):
    assert every_figure()[kind].to_json() == every_figure()[kind].to_json()


@pytest.mark.parametrize("kind", list(EMPTY))
def test_no_data_is_said_in_words(kind):
    figure = EMPTY[kind]()
    assert len(figure.data) == 0
    (words,) = figure.layout.annotations
    assert len(words.text) > 20


@pytest.mark.parametrize("kind", list(EMPTY))
def test_figures_hold_theme_colours_only(kind):
    known = {token.both for token in theme.TOKENS.values()} | {"rgba(0,0,0,0)"}
    found = set(re.findall(r'"(#[0-9a-fA-F]{3,8}|rgba?\([^"]*\))"', every_figure()[kind].to_json()))
    assert found
    assert found <= known


def test_a_figure_shows_itself_without_bringing_a_library():
    bundle = every_figure()["daily_lines"]._repr_mimebundle_()
    assert set(bundle) == {"application/vnd.plotly.v1+json"}


def test_pictures_need_no_database():
    for name in Path(charts.__file__).parent.glob("*.py"):
        assert "duckdb" not in name.read_text()


def test_lines_compare_weekday_with_weekday():
    figure = charts.daily_lines(daily(), PERIOD, "sign_ins", "x", "sign-ins")
    before, now = figure.data
    assert list(before.y) == [10, 11, 12, 13, 14, 15, 16]
    assert list(now.y) == [17, 18, 19, 20, 21, 22, 23]
    assert list(now.x) == list(before.x)
    # 17+...+23 = 140, 10+...+16 = 91, 49/91 = 54 %
    assert meta(figure)["caption"] == (
        "140 sign-ins in the 7 days to 15 November 2026: 49 more (54%) compared with the 7 days before."
    )


def test_a_day_without_data_is_a_gap_not_zero():
    figure = charts.daily_lines(daily(skip=9), PERIOD, "sign_ins", "x", "sign-ins")
    assert figure.data[1].y[2] is None
    assert not figure.data[1].connectgaps
    assert meta(figure)["rows"][2][1] == "unknown"


def test_several_rows_a_day_add_up_and_unknown_ones_do_not_count_as_zero():
    rows = [
        {"day": PERIOD.as_of, "bytes": 5},
        {"day": PERIOD.as_of, "bytes": None},
        {"day": PERIOD.start, "bytes": None},
    ]
    figure = charts.daily_lines(rows, PERIOD, "bytes", "x", "bytes")
    assert figure.data[1].y[-1] == 5
    assert figure.data[1].y[0] is None


def test_services_beyond_four_are_summed_as_one():
    names = ["Other", "A", "B", "C", "D", "E"]
    rows = [{"day": PERIOD.as_of, "service": s, "bytes": 100 - n} for n, s in enumerate(names)]
    figure = charts.service_bars(rows, PERIOD, "bytes", "x", "bytes")
    assert [t.name for t in figure.data] == ["A", "B", "C", "All other"]
    assert figure.data[3].y[-1] == 96 + 95 + 100
    assert sum(t.y[-1] for t in figure.data) == sum(r["bytes"] for r in rows)


def test_days_outside_the_period_are_not_stacked():
    rows = [{"day": d, "service": "Exchange", "bytes": 1} for d in DAYS]
    assert meta(charts.service_bars(rows, PERIOD, "bytes", "x", "bytes"))["caption"].startswith(
        "Exchange accounts for 7 bytes of 7 bytes (100%)"
    )


def test_top_bars_rank_cut_and_say_their_share():
    apps = [{"display_name": f"App {n}", "calls": n} for n in range(1, 21)] + [{"display_name": "X", "calls": None}]
    figure = charts.top_bars(apps, "calls", "x", "API calls", limit=3)
    assert list(figure.data[0].x) == [20, 19, 18]
    # 20+19+18 = 57 of 210
    assert meta(figure)["caption"] == "The 3 largest of 20 apps account for 57 API calls of 210 API calls (27%)."


def test_apps_of_the_same_name_stay_two_bars():
    figure = charts.top_bars(
        [{"display_name": "Twin", "calls": 2}, {"display_name": "Twin", "calls": 1}], "calls", "x", "calls"
    )
    assert list(figure.data[0].y) == [0, 1]
    assert list(figure.layout.yaxis.ticktext) == ["Twin", "Twin"]


def test_a_strangers_name_is_text_in_a_figure():
    figure = every_figure()["top_bars"]
    ticks = json.loads(figure.to_json())["layout"]["yaxis"]["ticktext"]
    assert ticks[0].startswith("&lt;a href=")
    assert not [t for t in ticks if "<" in t or "%{" in t or "\u202e" in t]
    assert charts.label("%{x}") == "%&#123;x}"
    assert charts.label("a\u202eb") == "a&lt;U+202E&gt;b"


def anomalies(scores: dict[str, tuple[float, float]]) -> list[dict[str, Any]]:
    """One flagged day per app: score and observed value where 100 was expected."""
    return [
        {"app_id": app, "display_name": app, "metric": "api_calls", "day": PERIOD.as_of, "observed": seen}
        | {"expected": 100.0, "lower": 80.0, "upper": 120.0, "score": score, "is_anomaly": True}
        for app, (score, seen) in scores.items()
    ]


def test_anomalies_are_drawn_increases_first_one_for_each_app():
    judged = anomalies({"fell": (-40.0, 0.0), "rose": (5.0, 300.0), "jumped": (9.0, 900.0)})
    captions = [meta(charts.anomaly([], judged, "x", rank=n))["caption"] for n in (1, 2, 3)]
    assert [c.split(":")[0] for c in captions] == ["jumped", "rose", "fell"]
    assert captions[0] == (
        "jumped: 900 API calls on 2026-11-15, where about 100 API calls was expected "
        "(between 80 API calls and 120 API calls)."
    )


def test_the_band_never_falls_below_zero_and_short_history_has_none():
    judged = anomalies({"a": (9.0, 900.0)})
    judged[0]["lower"] = -50.0
    assert list(charts.anomaly([], judged, "x").data[0].y) == [0]
    judged[0] |= {"expected": None, "lower": None, "upper": None}
    figure = charts.anomaly([], judged, "x")
    assert list(figure.data[0].y) == []
    assert "unknown" in meta(figure)["caption"]


def test_severity_labels_stay_inside_the_strip():
    rows = [{"severity": s, "findings": n} for s, n in zip(theme.SEVERITIES, (1, 1, 200, 1, 1), strict=True)]
    figure = charts.severity_strip(rows, "x")
    places = [a.x for a in figure.layout.annotations]
    assert places == sorted(places)
    assert min(b - a for a, b in itertools.pairwise(places)) >= 204 * 0.15 - 1e-6
    assert places[0] >= 0
    assert places[-1] <= 204 * 0.851


def test_unknown_privilege_is_a_level_of_its_own():
    figure = every_figure()["privilege_bars"]
    assert "unknown" in figure.layout.yaxis.ticktext


@pytest.mark.parametrize(
    ("unit", "largest", "words"),
    [
        ("calls", 0, ["0", "1"]),
        ("calls", 3, ["0", "1", "2", "3"]),
        ("calls", 690, ["0", "200", "400", "600"]),
        ("bytes", 87_400_000, ["0 bytes", "25.0 MB", "50.0 MB", "75.0 MB"]),
    ],
)
def test_axes_have_few_round_steps_in_the_units_words(unit, largest, words):
    assert value_axis(unit, largest)["ticktext"] == words


def test_labels_are_moved_apart_upwards():
    assert apart([0, 0.1, 5], 1) == [0, 1, 5]


@pytest.mark.parametrize("name", [n for n in theme.TOKENS if n not in {"grid", "band", "surface", "on-fill"}])
def test_colours_can_be_told_from_the_page(name):
    token = theme.TOKENS[name]
    for ground in ("#ffffff", "#12171d"):
        assert theme.contrast(token.both[:7], ground) >= 3
    assert theme.contrast(token.light, "#ffffff") >= 3
    assert theme.contrast(token.dark, "#12171d") >= 3
    if name in {"text", "muted", *theme.SERIES}:
        assert theme.contrast(token.light, "#ffffff") >= 4.5
        assert theme.contrast(token.dark, "#12171d") >= 4.5


def test_every_colour_is_exchanged_for_exactly_one():
    assert len({token.both for token in theme.TOKENS.values()}) == len(theme.TOKENS)
    exchanged = theme.exchange()
    assert set(exchanged["light"]) == set(exchanged["dark"]) == {t.both for t in theme.TOKENS.values()}


def test_the_style_sheet_says_the_same_colours():
    css = (Path(theme.__file__).parent / "templates" / "report.css").read_text()
    blocks = {"light": css[: css.index("@media (prefers")], "dark": css[css.index(':root[data-theme="dark"]') :]}
    for ground, block in blocks.items():
        for name in ("text", "muted", "critical", "high", "medium", "low", "info", "previous", *theme.SERIES):
            (value,) = re.findall(rf"--{name}: (#[0-9a-f]{{6}});", block)[:1]
            assert value == getattr(theme.TOKENS[name], ground), (name, ground)


def test_both_ways_to_the_dark_theme_are_the_same():
    css = (Path(theme.__file__).parent / "templates" / "report.css").read_text()
    system = re.search(r':root:not\(\[data-theme="light"\]\) \{(.*?)\}', css, re.S)[1].split()
    button = re.search(r':root\[data-theme="dark"\] \{\s*color-scheme: dark;(.*?)\}', css, re.S)[1].split()
    assert system == button


def test_period_days_are_dates():
    assert PERIOD.dates[0] == dt.date(2026, 11, 9)
    assert PERIOD.previous.dates[-1] == dt.date(2026, 11, 8)


def test_verdicts_are_counted_by_level_and_unknown_is_one_of_them():
    said = meta(charts.usage_bars(VERDICTS, "verdicts"))
    assert said["caption"] == "Of 8 permissions of high privilege 5 were used, 2 were not; of 1 it is not known."
    assert said["rows"][0] == ["high", "5", "2", "1"]
    assert said["columns"] == ["Privilege", "used", "unused", "unknown"]


def test_a_month_not_read_is_a_gap_and_one_read_in_part_says_so():
    figure = charts.monthly_bars(MONTHS, "service", "bytes", "months", "bytes")
    assert [list(t.y) for t in figure.data] == [[4e6, None, 1e6], [4e6, None, 1e6]]
    assert list(figure.layout.xaxis.ticktext) == ["Sep 2026", "Oct 2026<br>0 of 31 days", "Nov 2026<br>11 of 15 days"]
    said = meta(figure)
    assert said["rows"][1] == ["2026-10", "unknown", "unknown", "0 of 31"]
    assert said["caption"] == "November 2026 so far: 2.00 MB, 50% of it Exchange."


def test_hours_of_the_week_say_what_falls_outside_the_office() -> None:
    found = meta(charts.week_hours(HOURS, "calls", "hours", "API calls"))
    # 80 of 100 on Tuesday at nine, 20 on Sunday at night; of Saturday nobody knows
    assert found["caption"] == (
        "80% of 100 API calls in four weeks came from Monday to Friday between 7:00 and 19:00 UTC; the busiest hour "
        "began Tue 9:00."
    )
    assert [row for row in found["rows"] if row[2] != "none"] == [
        ["Tue", "80 API calls", "9:00"], ["Sun", "20 API calls", "3:00"],
    ]  # fmt: skip
