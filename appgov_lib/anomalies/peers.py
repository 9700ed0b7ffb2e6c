"""Apps too young to be compared with themselves: what apps of the same kind lend them.

Peers are the older apps of the same metric, and of the same kind where the caller says what kind an app is. A young
app with some days of its own keeps its own level and borrows their rhythm and noise; with fewer it is compared with
their levels, which only finds what is far out among all of them. Without enough peers it is not judged.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from appgov_lib.anomalies.baseline import OWN_DAYS, Baseline, median
from appgov_lib.anomalies.grid import WEEK, Bools, Floats, Grid, Ints
from appgov_lib.anomalies.noise import Noise
from appgov_lib.errors import UserError

LEAST_PEERS = 10
OWN_LEVEL_DAYS = 5
CAREFUL = 75.0  # percentile of the peers' noise that is lent
YOUNG_WANDER = 0.3  # log units by which the level of a few first days misses the next week's, beyond the peers'


@dataclass(frozen=True)
class Loan:
    """Who borrows from whom."""

    young: Bools
    """[series], judged with the help of peers"""
    by_level: Bools
    """[series], of them those that have no level of their own"""
    groups: tuple[tuple[Ints, Ints], ...]
    """young series that have the same peers, and these peers"""


def kinds_of(grid: Grid, kinds: pd.DataFrame | None) -> Ints:
    """Number of each series' kind [series]; all the same where `kinds` (app_id, kind) is not given.

    Raises `UserError` if it lacks a column.
    """
    if kinds is None:
        return np.zeros(len(grid.app), dtype=np.int64)
    missing = [name for name in ("app_id", "kind") if name not in kinds.columns]
    if missing:
        raise UserError(f"The kinds of apps have no column {missing[0]!r}; expected app_id and kind.")
    known = kinds.dropna(subset=["app_id"]).astype({"app_id": "str"}).drop_duplicates("app_id").set_index("app_id")
    named = known["kind"].astype("str").reindex(grid.apps.to_pylist())
    codes, _ = pd.factorize(named, sort=True)
    return codes.astype(np.int64)[grid.app]


def borrow(grid: Grid, base: Baseline, kind: Ints) -> tuple[Baseline, Loan]:
    """Fill level, rhythm and forecast of young series from their peers."""
    candidates = (base.days < OWN_DAYS) & np.isfinite(grid.values[:, grid.test_ages]).any(axis=1)
    old = (base.days >= OWN_DAYS) & ~base.idle.any(axis=1) & np.isfinite(base.forecast)
    young, by_level = np.zeros(len(old), dtype=bool), np.zeros(len(old), dtype=bool)
    groups: list[tuple[Ints, Ints]] = []
    new = {name: getattr(base, name).copy() for name in ("level", "rhythm", "idle", "idle_mean", "points", "forecast")}
    group = grid.metric * (int(kind.max(initial=0)) + 2) + kind
    history = np.log1p(np.where(grid.is_test, np.nan, grid.values))
    weeks = history.shape[1] // WEEK
    for number in np.unique(group[candidates]):
        peers = np.flatnonzero(old & (group == number))
        rows = np.flatnonzero(candidates & (group == number))
        if len(peers) < LEAST_PEERS:
            continue
        rhythm = np.median(base.rhythm[peers], axis=0)
        own = median(history[rows] - np.tile(rhythm, weeks))
        alone = base.days[rows] < OWN_LEVEL_DAYS
        new["forecast"][rows] = np.where(alone, np.median(base.forecast[peers]), own)
        new["level"][rows] = np.nan
        new["rhythm"][rows], new["points"][rows] = rhythm, np.maximum(base.days[rows], 1.0)[:, None]
        new["idle"][rows] = False
        young[rows], by_level[rows] = True, alone
        groups.append((rows, peers))
    return replace(base, **new), Loan(young, by_level, tuple(groups))


def lent_dispersion(spread: Floats, loan: Loan) -> Floats:
    """Over-dispersion [series], that of young series from their peers."""
    result = spread.copy()
    for rows, peers in loan.groups:
        result[rows] = np.percentile(spread[peers], CAREFUL)
    return result


def lent_noise(noise: Noise, base: Baseline, loan: Loan) -> Noise:
    """Scales and wander of young series from their peers."""
    new = {name: getattr(noise, name).copy() for name in ("typical", "up", "down", "wander", "highest", "lowest")}
    sizes = base.size()
    for rows, peers in loan.groups:
        for name in ("typical", "up", "down"):
            new[name][rows] = np.percentile(getattr(noise, name)[peers], CAREFUL)
        size = sizes[peers]
        among = 1.4826 * np.median(np.abs(size - np.median(size)))
        apart = np.where(loan.by_level[rows], among, YOUNG_WANDER)
        new["wander"][rows] = np.hypot(np.percentile(noise.wander[peers], CAREFUL), apart)
        new["highest"][rows] = new["lowest"][rows] = 0.0
    return replace(noise, **new)
