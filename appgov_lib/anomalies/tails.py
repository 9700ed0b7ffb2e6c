"""How far each judged day, and the judged days together, lie from what was expected.

Numbers that need a reason:
- MAD (x 1.4826), not the standard deviation: an anomaly must not widen the yardstick that measures it;
- the tail is Student's t with 0.37 n degrees of freedom, because the MAD of n residuals knows the scale as well
  as 0.37 n normal ones would (Rousseeuw and Croux 1993, "Alternatives to the median absolute deviation");
- a prediction from the median of k points is less certain than the noise by the factor 1 + 1.57 / k (variance).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from appgov_lib.anomalies.baseline import Baseline, Bools, Floats, Grid, median

BYTES_FLOOR = 0.25  # log units: bytes that vary by less than a quarter are not judged finer than that
RANGE_TAIL = 0.005  # each side of [lower, upper]
DAY_RISE, DAY_FALL = 2.0, 0.4  # a day is news from twice the expected value, or down to two fifths of it
WEEK_RISE, WEEK_FALL = 1.5, 0.6
MIN_COUNT, MIN_BYTES = 10.0, 100_000.0  # smaller differences are no news
IDLE_COUNT, IDLE_BYTES = 50.0, 10_000_000.0  # the same on days on which the app is usually idle
WEEK_CLIP = 4.0  # a single day counts at most this much towards its week
MIN_WEEK_DAYS = 4  # judged days a week needs, and days that must share its direction
JOINS_WEEK = 0.5  # score from which a day takes part in the rise or fall of its week
RECENT_WEEKS = 2  # a rise that has gone on for two weeks does not excuse itself
MIN_RECURRENCES = 2
TENANT_MOVE = 0.4  # log units (x 1.5): the whole tenant moved, e.g. on a holiday
TENANT_SERIES = 20


@dataclass(frozen=True)
class Judgement:
    """The judged days as arrays [series, day], newest day first; NaN where there is no value or no baseline."""

    observed: Floats
    expected: Floats
    lower: Floats
    upper: Floats
    score: Floats
    p_day: Floats
    day_is_news: Bools
    """The difference is large enough to matter, whatever its p-value."""
    p_week: Floats
    """[series], of the judged days together."""
    week_direction: Floats
    """[series], +1 or -1 where the days together differ enough to matter, else 0."""
    joins_week: Bools
    """The day takes part in the week's rise or fall."""


def judge(grid: Grid, base: Baseline) -> Judgement:
    """Score the judged days of every series against its baseline."""
    residual = grid.log_values - base.expected
    moves = _tenant_moves(grid, residual, base.expected)
    ordinary = np.where(grid.is_test | (moves != 0), np.nan, residual)  # history without holidays
    mean = np.expm1(base.expected)
    pearson = np.where(np.isnan(ordinary), np.nan, (np.expm1(grid.log_values) - mean) / np.sqrt(mean + 1))
    kind = grid.is_bytes[:, None, None]
    past = np.where(kind, ordinary, pearson)
    noise, points = _by_class(grid, past)
    # Residuals around a median of eight points come out a little small: n / (n - 1).
    noise = np.maximum(noise * np.sqrt(8 / 7), np.where(grid.is_bytes, BYTES_FLOOR, 1.0)[:, None])
    noise = noise * np.sqrt(1 + 1.57 / np.maximum(base.points, 1))

    week, position = grid.test_ages // 7, grid.test_ages % 7
    log_observed, line = grid.log_values[:, week, position], base.expected[:, week, position]
    # On a day on which the whole tenant moved both readings are fair; the one nearer to the value counts.
    moved = np.where(line == 0, 0.0, np.maximum(line + moves[week, position], 0.0))
    line = np.where(np.abs(log_observed - moved) < np.abs(log_observed - line), moved, line)
    observed, expected = np.expm1(log_observed).round(6), np.expm1(line)
    spread, freedom = noise[:, position], np.clip(0.37 * points[:, position], 3, 30)
    is_bytes = np.broadcast_to(grid.is_bytes[:, None], observed.shape)

    score, lower, upper = _tail(log_observed, line, spread, freedom, is_bytes)
    p_day = 2 * stats.t.sf(np.abs(score), freedom)
    p_day = np.maximum(p_day, _recurring(grid, ordinary, log_observed - line))
    least = np.where(is_bytes, MIN_BYTES, MIN_COUNT)
    enough = np.where(expected < 1, np.where(is_bytes, IDLE_BYTES, IDLE_COUNT), least)
    rise = (observed >= DAY_RISE * expected) & (observed - expected >= enough)
    fall = (observed <= DAY_FALL * expected) & (expected - observed >= enough)
    p_week, direction = _week(observed, expected, score, freedom, past / noise[:, None, :], grid.is_test, least)
    joins = (direction[:, None] * score >= JOINS_WEEK) & (np.abs(observed - expected) >= 0.2 * expected)
    return Judgement(observed, expected, lower, upper, score, p_day, rise | fall, p_week, direction, joins)


def _tenant_moves(grid: Grid, residual: Floats, expected: Floats) -> Floats:
    """Median log residual of each day [week, position] on which the whole tenant moved, else 0."""
    busy = np.where((~grid.is_bytes)[:, None, None] & (expected > np.log1p(5)), residual, np.nan)
    move = median(busy, axis=0)
    known = np.isfinite(busy).sum(axis=0) >= TENANT_SERIES
    return np.where(known & (np.abs(move) > TENANT_MOVE), move, 0.0)


def _by_class(grid: Grid, residual: Floats) -> tuple[Floats, Floats]:
    """Robust scale of past residuals [series, position] and how many there are, weekdays and weekends apart."""
    scale, count = np.full((len(residual), 7), np.nan), np.zeros((len(residual), 7))
    for is_weekend in (False, True):
        same = grid.is_weekend == is_weekend
        pool = np.abs(residual[:, :, same]).reshape(len(residual), -1)
        scale[:, same] = 1.4826 * median(pool)[:, None]
        count[:, same] = np.isfinite(pool).sum(axis=1)[:, None]
    return scale, count


def _tail(
    log_observed: Floats, line: Floats, spread: Floats, freedom: Floats, is_bytes: Bools
) -> tuple[Floats, Floats, Floats]:
    """Signed score, lower and upper end of the 99 % range, each [series, day].

    Bytes: the log residual in units of `spread`. Counts: the normal score of a negative binomial with the expected
    mean and the variance `spread`^2 (mean + 1), which is the Poisson variance (plus one) times the over-dispersion
    seen in the history. Half of the probability of the value itself goes to each side (mid-p).
    """
    score = (log_observed - line) / spread
    reach = stats.t.isf(RANGE_TAIL, freedom) * spread
    lower, upper = np.expm1(np.maximum(line - reach, 0.0)), np.expm1(line + reach)
    counts = ~is_bytes & np.isfinite(score)
    expected, wide = np.expm1(line[counts]), spread[counts]
    mean = np.maximum(expected, 0.5)  # a mean of zero would make the very first call impossible
    variance = wide**2 * (expected + 1)
    shape, chance = mean**2 / (variance - mean), mean / variance
    value = np.round(np.expm1(log_observed[counts]))
    half = stats.nbinom.pmf(value, shape, chance) / 2
    above = np.clip(stats.nbinom.sf(value, shape, chance) + half, 1e-290, 1.0)
    below = np.clip(stats.nbinom.cdf(value, shape, chance) - half, 1e-290, 1.0)
    score[counts] = np.where(above < below, stats.norm.isf(above), stats.norm.ppf(below))
    lower[counts] = stats.nbinom.ppf(RANGE_TAIL, shape, chance)
    upper[counts] = stats.nbinom.isf(RANGE_TAIL, shape, chance)
    score[log_observed == line] = 0.0
    return score, np.minimum(lower, np.expm1(line)), np.maximum(upper, np.expm1(line))


def _recurring(grid: Grid, ordinary: Floats, gap: Floats) -> Floats:
    """Share of earlier weeks that hold a day as far out as `gap` [series, day]; 0 unless several weeks do.

    A monthly job, or an app that is idle now and then, has done the same before: its p-value cannot be smaller
    than how often that was. The two newest weeks of history do not count, else a slow theft would excuse itself.
    """
    start = int(np.argmax(~grid.is_test.any(axis=1))) + RECENT_WEEKS
    highest, lowest = (np.where(np.isnan(ordinary[:, start:]), fill, ordinary[:, start:]) for fill in (-np.inf, np.inf))
    known = np.isfinite(ordinary[:, start:]).any(axis=2).sum(axis=1)[:, None]
    if highest.shape[1] == 0:
        return np.zeros_like(gap)
    up, down = highest.max(axis=2)[:, :, None], lowest.min(axis=2)[:, :, None]
    bar = 0.8 * gap[:, None, :]
    weeks = np.where(gap > 0, (up >= bar).sum(axis=1), (down <= bar).sum(axis=1))
    return np.where(weeks >= MIN_RECURRENCES, weeks / np.maximum(known, 1), 0.0)


def _week(
    observed: Floats, expected: Floats, score: Floats, freedom: Floats, past: Floats, is_test: Bools, least: Floats
) -> tuple[Floats, Floats]:
    """p-value of the judged days together and the direction of their difference where it matters (else 0).

    The statistic is the mean of the days' scores; its scale is what a mean of so many independent days would
    have, or what the app's own earlier weeks had, whichever is larger (days of one week move together).
    """
    clipped = np.clip(score, -WEEK_CLIP, WEEK_CLIP)
    days = np.isfinite(clipped).sum(axis=1)
    mean = np.nansum(clipped, axis=1) / np.maximum(days, 1)
    earlier = np.clip(past[:, ~is_test.any(axis=1)], -WEEK_CLIP, WEEK_CLIP)
    seen = np.isfinite(earlier).sum(axis=2)
    weekly = np.where(seen >= MIN_WEEK_DAYS, np.nansum(earlier, axis=2) / np.maximum(seen, 1), np.nan)
    weeks = np.isfinite(weekly).sum(axis=1)
    # A dozen weekly means tell their scale badly: it replaces the independent one only where it is clearly larger,
    # and then the tail is that of so few numbers.
    own = np.where(weeks >= 6, 1.4826 * median(np.abs(weekly)), 0.0)
    independent = np.where(weeks >= 6, 1.1, 1.5) / np.sqrt(np.maximum(days, 1))
    wander = own > 1.5 * independent
    scale, known = np.where(wander, own, independent), np.where(wander, 0.37 * weeks, freedom.max(axis=1))
    p_week = 2 * stats.t.sf(np.abs(mean) / scale, known)
    older = np.sign(mean)[:, None] * weekly[:, RECENT_WEEKS:] >= 0.8 * np.abs(mean)[:, None]
    before = older.sum(axis=1)
    p_week = np.maximum(p_week, np.where(before >= MIN_RECURRENCES, before / np.maximum(weeks, 1), 0.0))

    judged = np.isfinite(score)
    total, usual = (np.where(judged, values, 0.0).sum(axis=1) for values in (observed, expected))
    floor = np.where(judged, least, 0.0).sum(axis=1)
    up = (total >= WEEK_RISE * usual) & (total - usual >= floor) & ((score >= JOINS_WEEK).sum(axis=1) >= MIN_WEEK_DAYS)
    down = (
        (total <= WEEK_FALL * usual) & (usual - total >= floor) & ((score <= -JOINS_WEEK).sum(axis=1) >= MIN_WEEK_DAYS)
    )
    return np.where(days >= MIN_WEEK_DAYS, p_week, np.nan), up.astype(np.float64) - down.astype(np.float64)
