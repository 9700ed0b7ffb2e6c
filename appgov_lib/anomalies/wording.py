"""What a judged day says of itself: the test that found it, what it was compared with, and one sentence."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from appgov_lib.anomalies.baseline import Baseline
from appgov_lib.anomalies.grid import Bools, Floats, Grid, Ints
from appgov_lib.anomalies.judgement import TESTS, Judgement
from appgov_lib.anomalies.peers import Loan
from appgov_lib.anomalies.shared_days import Common
from appgov_lib.formats import size

Texts = NDArray[np.object_]

HISTORY_TOO_SHORT = "history too short"
OWN, OWN_LEVEL, PEERS, NOBODY = "own history", "own first days and peers", "peers", ""
FOUND_BY = {
    "burst": "",
    "drop": "",
    "steady": "; found by the {days} days together",
    "fall": "; found by the {days} days together",
    "ramp": "; found by a rise through the {days} days",
    "off_hours": "; found by the weekend days of an app that rests on weekends",
    "silence": "; found by the days without anything",
}


def compared_with(base: Baseline, loan: Loan, judgeable: Bools) -> Texts:
    """What each series was compared with."""
    own = np.where(judgeable & ~loan.young, OWN, NOBODY).astype(object)
    return np.asarray(np.where(loan.by_level, PEERS, np.where(loan.young, OWN_LEVEL, own)), dtype=object)


def kinds(judged: Judgement, by_day: Bools, by_test: Bools) -> Texts:
    """The kind of anomaly of each judged day [series, judged]: of the tests that chose it.

    One over several days says more than one of the day alone; among them the smallest p-value counts.
    """
    rise = judged.score > 0
    best = np.full(judged.p_day.shape, np.inf)
    kind = np.where(by_day, np.where(rise, "burst", "drop"), "").astype(object)
    for number, name in enumerate(TESTS):
        p = np.broadcast_to(judged.p_test[name][:, None], best.shape)
        better = by_test[:, number, None] & judged.joins[name] & (p <= best)
        words = np.where(rise, "steady", "fall") if name == "steady" else name
        kind, best = np.where(better, words, kind), np.where(better, p, best)
    return np.asarray(kind, dtype=object)


def reasons(
    grid: Grid, base: Baseline, judged: Judgement, common: Common, kind: Texts, against: Texts, at: tuple[Ints, Ints]
) -> Texts:
    """One sentence for each judged day `at` (series, judged) that needs one; "" for the others."""
    series, day = at
    result = np.full(len(series), "", dtype=object)
    result[np.isnan(judged.p_day[at])] = HISTORY_TOO_SHORT
    result[judged.excused[at]] = "The same was seen, or nobody looked, about a month before: a monthly run."
    for row in np.flatnonzero(judged.shared[at]):
        share = float(common.share[series[row], grid.test_ages[day[row]]])
        result[row] = f"{share:.0%} of the apps with the same rhythm moved alike on this day; not held against one app."
    found = np.flatnonzero(kind[at] != "")
    values: list[Floats] = [getattr(judged, name)[at][found] for name in ("observed", "expected", "lower", "upper")]
    for row, seen, usual, low, high in zip(found, *(part.tolist() for part in values), strict=True):
        say = size if grid.is_bytes[series[row]] else _count
        found_by = FOUND_BY[kind[series[row], day[row]]].format(days=len(grid.test_ages))
        basis = f"from {base.days[series[row]]:.0f} earlier days"
        if against[series[row]] != OWN:
            basis = f"compared with {against[series[row]]}, {base.days[series[row]]:.0f} earlier days of its own"
        result[row] = (
            f"{_beside(seen, usual, say)} expected for such a day (99 % range {say(low)} to {say(high)}, {basis})"
            f"{found_by}."
        )
    return result


def _count(value: float) -> str:
    """A count in words."""
    return f"{value:,.0f}"


def _beside(seen: float, usual: float, say: Callable[[float], str]) -> str:
    """What was seen beside what is usual, the way a person would say it."""
    if seen == 0:
        return f"Nothing, where {say(usual)} were"
    if usual < 1:
        return f"{say(seen)}, where next to nothing was"
    if seen >= usual:
        return f"{say(seen)}, {seen / usual:,.1f} times the {say(usual)}"
    return f"{say(seen)}, {seen / usual:.0%} of the {say(usual)}"
