"""The alert budget: which of thousands of tests count, so that few of the flagged apps are false alarms.

Tests of one app depend on each other (a burst shows in calls and in bytes), so they are first combined into one
p-value an app by Simes' inequality (Simes 1986), then Benjamini-Hochberg (1995) decides over apps. Within the
chosen apps the same procedure decides which tests count, at the level the first step left (Benjamini and
Bogomolov 2014, "Selective inference on multiple families of hypotheses").
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from appgov_lib.anomalies.baseline import Bools, Floats


def select(app_ids: NDArray[np.object_], p_day: Floats, p_week: Floats, rate: float) -> tuple[Bools, Bools]:
    """Choose day tests [series, day] and week tests [series] at the false discovery rate `rate` over apps.

    A NaN is a test that was not made. A series' week test weighs as much as all its day tests together
    (weights average one: d days and one week give (d + 1) / 2 to the week, (d + 1) / 2d to each day).
    """
    days = np.isfinite(p_day).sum(axis=1)
    has_week = np.isfinite(p_week)
    day_weight = np.where(has_week, (days + 1) / (2 * np.maximum(days, 1)), 1.0)
    weighted = np.concatenate([p_day / day_weight[:, None], (p_week / ((days + 1) / 2))[:, None]], axis=1)
    series, column = np.nonzero(np.isfinite(weighted))
    tests = pd.DataFrame({"app": app_ids[series], "series": series, "column": column, "p": weighted[series, column]})
    tests = tests.sort_values(["app", "p", "series", "column"], kind="stable", ignore_index=True)
    groups = tests.groupby("app", sort=True)
    tests["level"] = groups["p"].transform("size") * tests["p"] / (groups.cumcount() + 1)
    per_app = np.sort(tests.groupby("app", sort=True)["level"].min().to_numpy())
    passing = np.flatnonzero(per_app <= rate * np.arange(1, len(per_app) + 1) / max(len(per_app), 1))
    chosen = np.zeros(weighted.shape, dtype=bool)
    if len(passing):
        left = rate * (passing[-1] + 1) / len(per_app)
        # Benjamini-Hochberg steps up: every test down to the last one that meets the level counts.
        meets = (tests["level"] <= left).to_numpy()
        kept = pd.Series(meets[::-1]).groupby(tests["app"].to_numpy()[::-1], sort=False).cummax().to_numpy()[::-1]
        chosen[tests["series"].to_numpy()[kept], tests["column"].to_numpy()[kept]] = True
    return chosen[:, :-1], chosen[:, -1]
