"""The alert budget: which of thousands of tests count, so that few of the flagged apps are false alarms.

Tests of one app depend on each other (a burst shows in calls and in bytes), so they are first combined into one
p-value an app by Simes' inequality (Simes 1986), then Benjamini-Hochberg (1995) decides over apps. Within the
chosen apps the same procedure decides which tests count, at the level the first step left (Benjamini and
Bogomolov 2014, "Selective inference on multiple families of hypotheses").
"""

from __future__ import annotations

import numpy as np

from appgov_lib.anomalies.grid import Bools, Floats, Ints


def select(app: Ints, p_day: Floats, p_week: Floats, rate: float) -> tuple[Bools, Bools]:
    """Choose day tests [series, day] and tests of the week [series, test] at the false discovery rate `rate` over apps.

    `app` numbers the app of each series from 0. A NaN is a test that was not made. All day tests of a series weigh as
    much together as all its tests of the week (weights of a series average one). The tests in `p_week` that could not
    be made, or not be news, do not lend their weight to others.
    """
    days, weeks = np.isfinite(p_day).sum(axis=1), np.isfinite(p_week).sum(axis=1)
    tests = days + weeks
    shares = 1.0 + (weeks > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        weight_day, weight_week = tests / (shares * days), tests / (shares * weeks)
        weighted = np.concatenate([p_day / weight_day[:, None], p_week / weight_week[:, None]], axis=1)
    apps = int(app.max()) + 1 if len(app) else 0
    made = np.bincount(app, weights=tests, minlength=apps)
    # Only tests at or below the rate can matter: Simes' level of a test is never below its p-value.
    series, column = np.nonzero(weighted <= rate)
    p, owner = weighted[series, column], app[series]
    order = np.lexsort((column, series, p, owner))
    series, column, p, owner = series[order], column[order], p[order], owner[order]
    first = np.searchsorted(owner, owner)
    level = made[owner] * p / (np.arange(len(p)) - first + 1)
    per_app = np.full(apps, np.inf)
    np.minimum.at(per_app, owner, level)
    judged = int((made > 0).sum())
    ordered = np.sort(per_app[made > 0])
    passing = np.flatnonzero(ordered <= rate * np.arange(1, judged + 1) / max(judged, 1))
    chosen = np.zeros(weighted.shape, dtype=bool)
    if len(passing):
        left = rate * (passing[-1] + 1) / judged
        # Benjamini-Hochberg steps up: every test of the app down to the last one that meets the level counts.
        last = np.full(apps, -1, dtype=np.int64)
        meets = np.flatnonzero(level <= left)
        np.maximum.at(last, owner[meets], meets)
        kept = np.arange(len(p)) <= last[owner]
        chosen[series[kept], column[kept]] = True
    return chosen[:, : p_day.shape[1]], chosen[:, p_day.shape[1] :]
