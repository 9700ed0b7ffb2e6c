"""What each app would be expected to show, from its own history with the judged days left out.

On the logarithm a day is taken as level of its week + rhythm of its weekday + noise, both fitted by medians in turn
(median polish: Tukey 1977, "Exploratory Data Analysis"). A level of its own for every week absorbs growth and shifts
of the past; the level of the judged week is a forecast.

- The forecast is the median of the five newest weeks' levels. A shift three weeks old is the majority of them and so
  the new normal; a theft in its second week is not and does not excuse itself.
- A trend is believed when all blocks of three weeks tell it; its size is that of the flattest step between them
  (the minmod rule of slope limiters: Roe 1986). One shift makes one step and so no trend.
- Days of the week that are idle more often than not have no level: a few calls now and then are a mean of their own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from appgov_lib.anomalies.grid import WEEK, Bools, Floats, Grid, joined

LEVEL_WEEKS = 5
BLOCK_WEEKS = 3
MAX_TREND = 0.35  # log units a week; anything steeper is a jump, not growth
RECENT_WEEKS = 2  # a slow theft is not to raise what it is compared with
RHYTHM_WEEKS = 4  # points a weekday needs for a rhythm of its own; fewer are pooled with its class
IDLE_CAP = 10.0  # a mean of idle days is not led by one busy day
AGREES = 0.7
STEP = 1.0  # a step between two weeks holds the wander of both, so it is counted down
OWN_DAYS = 21  # days of history from which an app is compared with itself


@dataclass(frozen=True)
class Baseline:
    """The expectation and what it rests on; logarithms are log1p of the value."""

    level: Floats
    """[series, week], log; NaN where the week is unknown or holds a judged day only"""
    rhythm: Floats
    """[series, position], log, added to the level"""
    idle: Bools
    """[series, position], the weekday is idle more often than not"""
    idle_mean: Floats
    """[series, position], the expected value of idle weekdays"""
    points: Floats
    """[series, position], history days behind the rhythm; 0 where none"""
    days: Floats
    """[series], history days in all"""
    forecast: Floats
    """[series], log level of the judged days"""
    missed: Floats
    """[series, week], what the same forecast would have missed in earlier weeks; NaN where not known"""

    def size(self) -> Floats:
        """Log size of an ordinary working day among the judged ones [series]; NaN where all days are idle."""
        return self.forecast + median(np.where(self.idle, np.nan, self.rhythm))

    def expected(self, grid: Grid) -> Floats:
        """Expected value [series, age]: history along its weekly levels, judged days along the forecast."""
        weeks = grid.values.shape[1] // WEEK
        level = np.where(np.isnan(self.level), self.forecast[:, None], self.level)
        daily = np.repeat(level, WEEK, axis=1)
        daily[:, grid.is_test] = self.forecast[:, None]
        line = np.maximum(daily + np.tile(self.rhythm, (1, weeks)), 0.0)
        return np.where(np.tile(self.idle, (1, weeks)), np.tile(self.idle_mean, (1, weeks)), np.expm1(line))


def median(values: Floats, axis: int = -1) -> Floats:
    """Median along `axis`, NaN left out (NaN where nothing is left); one sort, unlike numpy's row-wise version."""
    ordered = np.sort(np.moveaxis(values, axis, -1), axis=-1)
    if ordered.shape[-1] == 0:
        return np.full(ordered.shape[:-1], np.nan)
    count = np.isfinite(ordered).sum(axis=-1, keepdims=True)
    low = np.take_along_axis(ordered, np.maximum(count - 1, 0) // 2, axis=-1)
    high = np.take_along_axis(ordered, np.minimum(count // 2, ordered.shape[-1] - 1), axis=-1)
    middle: Floats = ((low + np.where(count > 1, high, low)) / 2)[..., 0]
    return middle


def fit(grid: Grid) -> Baseline:
    """Fit levels, rhythm and forecast of every series; parts of them side by side."""
    parts = grid.side_by_side(lambda at: _fit(grid.part(at)))
    return joined(parts)


def _fit(grid: Grid) -> Baseline:
    """Fit the series of one part."""
    shape = (len(grid.values), -1, WEEK)
    values = np.where(grid.is_test, np.nan, grid.values).reshape(shape)
    log = np.log1p(values)
    known = np.isfinite(log)
    idle = (2 * (values == 0).sum(axis=1) > known.sum(axis=1)) & known.any(axis=1)
    working = np.where(idle[:, None, :], np.nan, log)
    rhythm = median(working, axis=1)
    level = median(working - rhythm[:, None, :], axis=2)
    level = np.where(np.isnan(level) & known.any(axis=2), np.nan, level)
    rhythm, points = _rhythm(grid, working - level[:, :, None])
    level = median(working - rhythm[:, None, :], axis=2)
    no_level = idle.all(axis=1) | ~np.isfinite(level).any(axis=1)
    level[no_level] = np.where(known[no_level].any(axis=2), 0.0, np.nan)
    forecast = _choose(level, grid.first_week, _judged_level(grid, rhythm, idle))
    idle_mean, idle_points = _idle_mean(grid, values, idle)
    points = np.where(idle, idle_points, points)
    missed = _missed(level, grid.first_week)
    return Baseline(
        level, np.nan_to_num(rhythm), idle, idle_mean, points, known.sum(axis=(1, 2)).astype(float), forecast, missed
    )


def _rhythm(grid: Grid, gap: Floats) -> tuple[Floats, Floats]:
    """Median distance of each position from the level, and points behind it; pooled by class where they are few."""
    rhythm, points = median(gap, axis=1), np.isfinite(gap).sum(axis=1).astype(float)
    for is_weekend in (False, True):
        same = grid.is_weekend == is_weekend
        pool = gap[:, :, same].reshape(len(gap), -1)
        few = (points < RHYTHM_WEEKS) & same
        if few.any():
            rows = np.flatnonzero(few.any(axis=1))
            pooled, count = median(pool[rows]), np.isfinite(pool[rows]).sum(axis=1).astype(float)
            rhythm[rows] = np.where(few[rows], pooled[:, None], rhythm[rows])
            points[rows] = np.where(few[rows], count[:, None], points[rows])
    return rhythm, points


def _judged_level(grid: Grid, rhythm: Floats, idle: Bools) -> Floats:
    """Median level of the judged days themselves [series]: only to tell which of two fair forecasts is nearer."""
    position = grid.test_ages % WEEK
    gap = np.log1p(grid.values[:, grid.test_ages]) - rhythm[:, position]
    return median(np.where(idle[:, position], np.nan, gap))


def _slope(level: Floats, start: int) -> Floats:
    """Trend [series] in log units a week towards the present, 0 where the blocks of weeks do not agree on one."""
    blocks = [
        median(level[:, i : i + BLOCK_WEEKS]) for i in range(start, level.shape[1] - BLOCK_WEEKS + 1, BLOCK_WEEKS)
    ]
    if len(blocks) < 3:
        return np.zeros(len(level))
    steps = -np.diff(np.stack(blocks, axis=1), axis=1) / BLOCK_WEEKS
    known = np.isfinite(steps)
    same = (known.sum(axis=1) >= 2) & ((~known | (steps > 0)).all(axis=1) | (~known | (steps < 0)).all(axis=1))
    flattest = np.where(known, np.abs(steps), np.inf).min(axis=1)
    sign = np.sign(np.nansum(steps, axis=1))
    return np.where(same, np.minimum(flattest, MAX_TREND) * sign, 0.0)


def _ahead(level: Floats, start: int, slope: Floats) -> Floats:
    """Forecast of the week before `start` from the weeks that follow it, along `slope`."""
    newest = level[:, start : start + LEVEL_WEEKS]
    return median(newest + slope[:, None] * np.arange(1, newest.shape[1] + 1))


def _choose(level: Floats, start: int, judged: Floats) -> Floats:
    """The forecast [series]: of those that are fair, the one nearer to what was seen.

    Fair are the median of the newest weeks with and without the trend, and the two newest weeks alone where both lie
    off that median on the same side by about as much as the judged days do: then the shift is their level already.
    """
    flat = _ahead(level, start, np.zeros(len(level)))
    trend = _ahead(level, start, _slope(level, start))
    far, nearest = judged - flat, np.where(np.abs(judged - trend) < np.abs(judged - flat), trend, flat)
    if level.shape[1] < start + 2:
        return nearest
    first, second = (level[:, start + i] - flat for i in (0, 1))
    settled = (np.minimum(first * np.sign(far), second * np.sign(far)) >= AGREES * np.abs(far)) & (far != 0)
    recent = (level[:, start] + level[:, start + 1]) / 2
    return np.where(settled & (np.abs(judged - recent) < np.abs(judged - nearest)), recent, nearest)


def _missed(level: Floats, start: int) -> Floats:
    """How far each earlier week's level lay from its own forecast [series, week]."""
    missed = np.full(level.shape, np.nan)
    none = np.zeros(len(level))
    slope = _slope(level, start)
    for week in range(start, level.shape[1] - 1):
        flat, trend = (level[:, week] - _ahead(level, week + 1, way) for way in (none, slope))
        missed[:, week] = np.where(np.abs(trend) < np.abs(flat), trend, flat)
        step = STEP * (level[:, week] - level[:, week + 1])
        missed[:, week] = np.where(np.abs(step) < np.abs(missed[:, week]), step, missed[:, week])
    return missed


def _idle_mean(grid: Grid, values: Floats, idle: Bools) -> tuple[Floats, Floats]:
    """Mean of idle positions [series, position], weekdays and weekends apart, and the days behind it; bytes 0."""
    mean, points = np.zeros(idle.shape), np.zeros(idle.shape)
    older = values[:, grid.first_week + RECENT_WEEKS :]
    if older.shape[1] >= BLOCK_WEEKS:
        values = older
    for is_weekend in (False, True):
        same = (grid.is_weekend == is_weekend) & idle
        pool = np.where(same[:, None, :], np.minimum(values, IDLE_CAP), np.nan).reshape(len(values), -1)
        count = np.isfinite(pool).sum(axis=1)
        average = np.nansum(pool, axis=1) / np.maximum(count, 1)
        mean = np.where(same, np.where(grid.is_bytes, 0.0, average)[:, None], mean)
        points = np.where(same, count[:, None], points)
    return mean, points.astype(float)
