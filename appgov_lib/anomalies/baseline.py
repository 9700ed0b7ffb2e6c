"""What each app would be expected to show, from its own history: same-weekday medians carried along a trend."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

LEVEL_WEEKS = 8  # weeks that set the expected level
TREND_LAG = 6  # weeks between the two points of a slope
MIN_TREND_PAIRS = 10
MAX_WEEKLY_TREND = 0.25  # log units (28 % a week); anything steeper is a jump, not growth
MIN_SAME_WEEKDAY = 4
MIN_SAME_CLASS = 6


@dataclass(frozen=True)
class Grid:
    """The daily values as one block, week 0 being the newest and position 0 its newest day."""

    keys: pd.DataFrame
    """app_id and metric, one row a series, in order."""
    log_values: Floats
    """[series, week, position], log1p of the value; NaN where there is no row."""
    test_ages: Ints
    """Ages in days of the judged days, newest (0) first."""
    is_test: Bools
    """[week, position]"""
    is_weekend: Bools
    """[position]"""
    is_bytes: Bools
    """[series]"""
    last_day: pd.Timestamp


@dataclass(frozen=True)
class Baseline:
    """The expectation and what it rests on."""

    expected: Floats
    """[series, week, position], log1p units; NaN where the history is too short."""
    points: Floats
    """[series, position], days behind the expected level; 0 where it is not known."""


def lay_out(table: pd.DataFrame, test_days: int, history_weeks: int) -> Grid:
    """Lay checked rows out by series, week and day; series without a row among the judged days are left out."""
    last = pd.Timestamp(table["day"].max())
    table = table.assign(age=(last - table["day"]).dt.days)
    test_ages = np.sort(table["age"].unique())[:test_days].astype(np.int64)
    weeks = int(test_ages[-1]) // 7 + 1 + history_weeks
    table = table[table["age"] < weeks * 7]
    newest = table.groupby(["app_id", "metric"])["age"].transform("min")
    grouped = table[newest <= test_ages[-1]].groupby(["app_id", "metric"], sort=True)
    table = table[newest <= test_ages[-1]]
    code, age = grouped.ngroup().to_numpy(), table["age"].to_numpy()
    keys = grouped.size().index.to_frame(index=False)
    log_values = np.full((len(keys), weeks, 7), np.nan)
    log_values[code, age // 7, age % 7] = np.log1p(table["value"].to_numpy())
    is_test = np.zeros(weeks * 7, dtype=bool)
    is_test[test_ages] = True
    weekday = (last.weekday() - np.arange(7)) % 7
    is_bytes = keys["metric"].str.contains("bytes", case=False, regex=False).to_numpy(dtype=bool)
    return Grid(keys, log_values, test_ages, is_test.reshape(weeks, 7), weekday >= 5, is_bytes, last)


def median(values: Floats, axis: int = -1) -> Floats:
    """Median along `axis`, NaN left out (NaN where nothing is left); one sort, unlike numpy's row-wise version."""
    axis %= values.ndim
    if values.shape[axis] == 0:
        return np.full(values.shape[:axis] + values.shape[axis:][1:], np.nan)
    ordered = np.sort(np.moveaxis(values, axis, -1), axis=-1)
    count = np.isfinite(ordered).sum(axis=-1, keepdims=True)
    low = np.take_along_axis(ordered, np.maximum(count - 1, 0) // 2, axis=-1)
    high = np.take_along_axis(ordered, np.minimum(count // 2, ordered.shape[-1] - 1), axis=-1)
    middle: Floats = ((low + np.where(count > 1, high, low)) / 2)[..., 0]
    return middle


def fit(grid: Grid) -> Baseline:
    """Expect the same-weekday median, with the app's own trend where the trend explains its history better."""
    history = np.where(grid.is_test, np.nan, grid.log_values)
    newer, older = history[:, :-TREND_LAG], history[:, TREND_LAG:]
    # Two idle days say nothing about growth; with them an idle weekend would hide the growth of the weekdays.
    slopes = np.where((newer == 0) & (older == 0), np.nan, (newer - older) / TREND_LAG).reshape(len(history), -1)
    slope = np.where(np.isfinite(slopes).sum(axis=1) >= MIN_TREND_PAIRS, median(slopes), 0.0)
    slope = np.clip(slope, -MAX_WEEKLY_TREND, MAX_WEEKLY_TREND)
    flat, points = _expected(grid, history, np.zeros(len(history)))
    sloped, _ = _expected(grid, history, slope)
    # A step in the past looks like a slope too; the line that fits the newer weeks better is the better story.
    recent = np.where(history == 0, np.nan, history)[:, : _first_free_week(grid) + LEVEL_WEEKS]
    flat_error, slope_error = (
        median(np.abs(recent - line[:, : recent.shape[1]]).reshape(len(recent), -1)) for line in (flat, sloped)
    )
    better = (slope_error < flat_error)[:, None, None]
    return Baseline(np.where(better, sloped, flat), points)


def _first_free_week(grid: Grid) -> int:
    """Number of the newest week that holds no judged day."""
    return int(np.argmax(~grid.is_test.any(axis=1)))


def _expected(grid: Grid, history: Floats, slope: Floats) -> tuple[Floats, Floats]:
    """Expected log value [series, week, position] along `slope` (log units a week), and the points behind it."""
    drift = slope[:, None, None] * np.arange(history.shape[1])[None, :, None]
    carried = np.where(history == 0, 0.0, np.maximum(history + drift, 0.0))
    recent = carried[:, : _first_free_week(grid) + LEVEL_WEEKS]
    points = np.isfinite(recent).sum(axis=1).astype(np.float64)
    level = median(recent, axis=1)
    short = points < MIN_SAME_WEEKDAY
    for is_weekend in (False, True):
        same = grid.is_weekend == is_weekend
        pool = recent[:, :, same].reshape(len(recent), -1)
        pool_points = np.isfinite(pool).sum(axis=1).astype(np.float64)
        enough = pool_points >= MIN_SAME_CLASS
        replace = short & same[None, :]
        level = np.where(replace, np.where(enough, median(pool), np.nan)[:, None], level)
        points = np.where(replace, np.where(enough, pool_points, 0.0)[:, None], points)
    line = np.where(level[:, None, :] == 0, 0.0, np.maximum(level[:, None, :] - drift, 0.0))
    return line, points
