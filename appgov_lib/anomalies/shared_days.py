"""Days on which many apps of the same rhythm moved together: holidays, outages, gaps in recording.

Such a day says nothing about one app. It is recognised by the share of apps that moved to the same side, so a holiday
that only some keep is recognised too, and left out of the history and of the judgement on that side.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from appgov_lib.anomalies.baseline import Baseline
from appgov_lib.anomalies.grid import Bools, Floats, Grid

MOVED_SCORE, MOVED_LOG = 1.5, 0.4  # a day that moved: beyond the noise, and by half or a third
BUSY = 4.0  # expected value from which a fall can be seen
LEAST_APPS, LEAST_MOVED = 8, 4
FELL_SHARE, ROSE_SHARE = 0.15, 0.4  # of the busy apps, beyond what is usual for a day


@dataclass(frozen=True)
class Common:
    """What moved together, by series and age."""

    fell: Bools
    rose: Bools
    share: Floats
    """[series, age], share of the group's busy apps that moved; 0 on other days"""
    factor: Floats
    """[series, age], how far those that moved did in the middle, as a factor; 1 on other days"""


def rhythms(grid: Grid, base: Baseline) -> NDArray[np.int64]:
    """Group of each series by its week: 0 office hours, 1 every day, 2 weekends, 3 idle on most days, 4 unknown."""
    weekend = _mean(base.rhythm[:, grid.is_weekend], ~base.idle[:, grid.is_weekend])
    weekday = _mean(base.rhythm[:, ~grid.is_weekend], ~base.idle[:, ~grid.is_weekend])
    idle_weekend = base.idle[:, grid.is_weekend].all(axis=1) & (base.points[:, grid.is_weekend] > 0).any(axis=1)
    idle_weekday = base.idle[:, ~grid.is_weekend].all(axis=1)
    group = np.where(weekend - weekday < -0.7, 0, np.where(weekend - weekday > 0.7, 2, 1))
    group = np.where(idle_weekend, 0, np.where(idle_weekday, 2, group))
    group = np.where(base.idle.sum(axis=1) >= 4, 3, group)
    return np.where(base.days > 0, group, 4)


def _mean(values: Floats, known: Bools) -> Floats:
    """Mean over the last axis where known, 0 where nothing is."""
    total = np.where(known, values, 0.0).sum(axis=-1)
    return np.asarray(total / np.maximum(known.sum(axis=-1), 1))


def find(grid: Grid, group: NDArray[np.int64], expected: Floats, score: Floats) -> Common:
    """Recognise the common days of each group; a group of few apps goes by the whole tenant."""

    def moves(at: slice) -> tuple[Floats, Bools, Bools, Bools]:
        """How far some of the series were off, whether busy enough to tell, and whether down or up."""
        log = np.log1p(grid.values[at]) - np.log1p(expected[at])
        busy = (expected[at] >= BUSY) & np.isfinite(score[at])
        down = busy & (score[at] < -MOVED_SCORE) & (log < -MOVED_LOG)
        return log, busy, down, busy & (score[at] > MOVED_SCORE) & (log > MOVED_LOG)

    log, busy, down, up = (np.concatenate(parts) for parts in zip(*grid.side_by_side(moves), strict=True))
    per_app = np.bincount(grid.app)
    weight = (1.0 / per_app[grid.app])[:, None]
    fell, rose = np.zeros(busy.shape, dtype=bool), np.zeros(busy.shape, dtype=bool)
    share, factor = np.zeros(busy.shape), np.ones(busy.shape)
    whole = np.ones(len(group), dtype=bool)
    everyone, all_down, all_up = (np.where(those, weight, 0).sum(axis=0) for those in (busy, down, up))
    for number in np.unique(group):
        mine = group == number
        apps = np.where(busy[mine], weight[mine], 0).sum(axis=0)
        for moved, all_moved, into, least in ((down, all_down, fell, FELL_SHARE), (up, all_up, rose, ROSE_SHARE)):
            many = np.where(moved[mine], weight[mine], 0).sum(axis=0)
            small = apps < LEAST_APPS
            base, part = np.where(small, everyone, apps), np.where(small, all_moved, many)
            with np.errstate(invalid="ignore"):
                portion = np.where(base >= LEAST_APPS, part / base, np.nan)
            usual = np.nanmedian(portion) if np.isfinite(portion).any() else 0.0
            days = np.flatnonzero((portion - usual >= least) & (part >= LEAST_MOVED))
            into[np.ix_(mine, days)] = True
            for day in days:
                rows = moved[:, day] & (whole if small[day] else mine)
                share[mine, day] = portion[day]
                factor[mine, day] = float(np.exp(np.median(log[rows, day])))
    return Common(fell, rose, share, factor)
