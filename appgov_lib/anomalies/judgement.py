"""The tests: each judged day alone, the week, its weekend, its silence and its slope; what is news and what is not.

Tails are Student's t with 0.37 n degrees of freedom, because a MAD of n residuals knows the scale as well as 0.37 n
normal ones would (Rousseeuw and Croux 1993); a median of k points is less certain than the noise by 1.57 / k.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from scipy import special

from appgov_lib.anomalies.baseline import Baseline
from appgov_lib.anomalies.grid import WEEK, Bools, Floats, Grid, cut
from appgov_lib.anomalies.noise import Noise, month_before, restored, stabilised
from appgov_lib.anomalies.shared_days import Common

RANGE_TAIL = 0.005  # each side of [lower, upper]
DAY_RISE, DAY_FALL = 2.0, 0.4  # a day is news from twice the expected value, or down to two fifths of it
WEEK_RISE, WEEK_FALL = 1.5, 0.6
MIN_COUNT, MIN_BYTES = 10.0, 100_000.0  # smaller differences are no news
FALL_BYTES = 1_000_000.0  # one call more or less is not to be a fall
IDLE_COUNT, IDLE_BYTES = 12.0, 1_000_000.0  # the same on days on which the app is usually idle
WEEK_DAYS = 3.0  # a week's difference must be this many times a day's smallest
WEEKEND_PART = 2 / 3  # and a weekend's this part of a week's
WHOLE = 0.5  # share of apps from which a common day is an outage
CLIP = 4.0  # a single day counts at most this much towards its week
MIN_WEEK_DAYS = 4
JOINS = 0.5  # score from which a day takes part in the rise or fall of its week
RECENT_WEEKS = 2
REPEATS = 0.8
ZERO_PRIOR = 0.1  # days without anything that a history without any is taken to hold
BURST, TAIL_POWER = 4.5, 4.0
FREEDOM_SHARE, FREEDOM = 0.74, (3.0, 60.0)
TESTS = ("steady", "off_hours", "silence", "ramp")


@dataclass(frozen=True)
class Judgement:
    """The judged days as arrays [series, judged], newest first, NaN where not known; tests over them as [series]."""

    observed: Floats
    expected: Floats
    lower: Floats
    upper: Floats
    score: Floats
    p_day: Floats
    p_test: dict[str, Floats]
    """by test of `TESTS`; 1 where the difference would be no news, NaN where the test could not be made"""
    day_is_news: Bools
    joins: dict[str, Bools]
    """by test: the days that make it [series, judged]"""
    excused: Bools
    """[series, judged], the same was seen about a month before"""
    shared: Bools
    """[series, judged], many apps of the same rhythm moved with it"""


def judge(grid: Grid, base: Baseline, noise: Noise, common: Common, expected: Floats, judgeable: Bools) -> Judgement:
    """Make all tests of the series that are `judgeable`; the others have NaN throughout. Parts are judged at once."""
    parts = grid.side_by_side(
        lambda at: _judge(grid.part(at), cut(base, at), cut(noise, at), cut(common, at), expected[at], judgeable[at])
    )
    whole: dict[str, Any] = {}
    for item in fields(Judgement):
        values = [getattr(part, item.name) for part in parts]
        if item.name in ("p_test", "joins"):
            whole[item.name] = {test: np.concatenate([value[test] for value in values]) for test in TESTS}
        else:
            whole[item.name] = np.concatenate(values)
    return Judgement(**whole)


def _judge(grid: Grid, base: Baseline, noise: Noise, common: Common, expected: Floats, judgeable: Bools) -> Judgement:
    """The same of some of the series."""
    ages = grid.test_ages
    position = ages % WEEK
    observed, mean = grid.values[:, ages], expected[:, ages]
    mean = np.where(judgeable[:, None] & np.isfinite(observed), mean, np.nan)
    raw = np.where(np.isfinite(mean), noise.score[:, ages], np.nan)
    shared = (common.fell[:, ages] & (raw < 0)) | (common.rose[:, ages] & (raw > 0))
    excused = month_before(grid, noise, common.fell & (common.share >= WHOLE)) & np.isfinite(raw)
    points = np.maximum(base.points[:, position], 1)
    steep = np.sqrt(mean / (1 + noise.dispersion[:, None] * mean))  # change of the score by log unit
    drift = noise.wander[:, None] * steep
    side = np.where(raw >= 0, noise.up[:, None], noise.down[:, None])
    scale = np.sqrt(side**2 * (1 + 1.57 / points) + drift**2)
    score = raw / scale
    freedom = _freedom(base)[:, None]
    p_day = two_sided(score, freedom)
    p_day = np.fmax(p_day, np.fmax(_seen_before(grid, noise, raw), _own_tail(base, noise, raw)))
    p_day = np.where(np.isnan(raw), np.nan, np.where(shared | excused, 1.0, p_day))
    reach = special.stdtrit(freedom, 1 - RANGE_TAIL)
    middle = stabilised(mean, noise.dispersion, grid.is_bytes)
    widths = [np.sqrt(one[:, None] ** 2 * (1 + 1.57 / points) + drift**2) for one in (noise.down, noise.up)]
    lower = restored(middle - reach * widths[0], noise.dispersion, grid.is_bytes)
    upper = restored(middle + reach * widths[1], noise.dispersion, grid.is_bytes)
    moved = mean * common.factor[:, ages]
    lower, upper = np.fmin(np.fmin(lower, mean), moved), np.fmax(np.fmax(upper, mean), moved)

    is_bytes = grid.is_bytes[:, None]
    least = np.where(is_bytes, MIN_BYTES, MIN_COUNT)
    enough = np.where(mean < 1, np.where(is_bytes, IDLE_BYTES, IDLE_COUNT), least)
    rise = (observed >= DAY_RISE * mean) & (observed - mean >= enough)
    fall = (observed <= DAY_FALL * mean) & (mean - observed >= np.where(is_bytes, FALL_BYTES, MIN_COUNT))
    judged = Judgement(observed, mean, lower, upper, score, p_day, {}, rise | fall, {}, excused, shared)

    clean = np.where(shared | excused, np.nan, raw)
    p_week, joins = _together(grid, base, noise, judged, clean, drift, np.isfinite(clean), MIN_WEEK_DAYS, 1.0)
    p_week = np.maximum(p_week, _week_seen_before(grid, base, clean, steep))
    weekend = np.isfinite(clean) & grid.is_weekend[position] & _quiet_weekend(grid, base)[:, None]
    p_weekend, weekend_joins = _together(grid, base, noise, judged, clean, drift, weekend, 1, WEEKEND_PART)
    p_weekend = np.where(
        np.nansum(np.where(weekend, clean, 0), axis=1) > 0, p_weekend, np.where(np.isnan(p_weekend), np.nan, 1.0)
    )
    p_silence, silent = _silence(grid, base, noise, judged, expected)
    p_ramp, rising = _ramp(grid, base, noise, judged, clean, drift, p_week)
    tests = dict(zip(TESTS, (p_week, p_weekend, p_silence, p_ramp), strict=True))
    return replace(judged, p_test=tests, joins=dict(zip(TESTS, (joins, weekend_joins, silent, rising), strict=True)))


def two_sided(score: Floats, freedom: Floats) -> Floats:
    """Two-sided p-value of a t score; NaN stays NaN."""
    return np.asarray(2.0 * special.stdtr(freedom, -np.abs(score)))


def _seen_before(grid: Grid, noise: Noise, raw: Floats) -> Floats:
    """Share of earlier weeks with a day as far out as `raw` [series, judged]; 0 unless one holds it.

    The two newest weeks of history do not count, else a slow theft would excuse itself.
    """
    past = noise.past[:, (grid.first_week + RECENT_WEEKS) * WEEK :]
    if not past.shape[1]:
        return np.zeros_like(raw)
    weekly = past.reshape(len(past), -1, WEEK)
    known = np.isfinite(weekly).any(axis=2)
    result = np.zeros_like(raw)
    for sign in (1.0, -1.0):
        highest = np.where(known, np.nanmax(np.where(np.isnan(weekly), -np.inf, sign * weekly), axis=2), -np.inf)
        repeats = (sign * raw > 0) & (REPEATS * sign * raw <= highest.max(axis=1)[:, None])
        result = np.where(repeats, 1.0 / np.maximum(known.sum(axis=1), 1)[:, None], result)
    return result


def _own_tail(base: Baseline, noise: Noise, raw: Floats) -> Floats:
    """Tail of a series that has burst before: a power law from its largest earlier day (0 where that was no burst).

    One day in n was as far out as that; one in n times the ratio to the power `TAIL_POWER` goes as far as this day.
    """
    largest = np.where(raw >= 0, noise.highest[:, None], noise.lowest[:, None])
    with np.errstate(invalid="ignore", divide="ignore"):
        beyond = np.minimum(largest / np.abs(raw), 1.0) ** TAIL_POWER / np.maximum(base.days, 1)[:, None]
    return np.where(largest > BURST, beyond, 0.0)


def _together(
    grid: Grid,
    base: Baseline,
    noise: Noise,
    judged: Judgement,
    clean: Floats,
    drift: Floats,
    which: Bools,
    least_days: int,
    part: float,
) -> tuple[Floats, Bools]:
    """p-value of the days `which` together, 1 where they are no news, and the days that share their direction.

    The statistic is the mean of the days' scores; it varies by what independent days leave and by the wander of the
    app's weekly level. `part` is the share of the week's smallest difference that is asked for.
    """
    days = which.sum(axis=1)
    total = np.where(which, clean, 0.0).sum(axis=1)
    side = noise.typical if least_days > 1 else np.where(total >= 0, noise.up, noise.down)
    mean, scale = _mean(base, clean, drift, side, np.where(which, 1.0, 0.0))
    p = two_sided(mean / scale, _freedom(base))
    up = mean >= 0
    observed, usual = (np.where(which, values, 0.0).sum(axis=1) for values in (judged.observed, judged.expected))
    least = np.where(grid.is_bytes, MIN_BYTES, MIN_COUNT) * WEEK_DAYS * part
    least = np.where(usual < days, np.where(grid.is_bytes, IDLE_BYTES, IDLE_COUNT) * 2.0, least)
    sign = np.where(up, 1.0, -1.0)[:, None]
    far = np.abs(judged.observed - judged.expected) >= 0.2 * judged.expected
    joins = which & (sign * judged.score >= JOINS) & far
    news = np.where(
        up,
        (observed >= WEEK_RISE * usual) & (observed - usual >= least),
        (observed <= WEEK_FALL * usual) & (usual - observed >= least),
    ) & (joins.sum(axis=1) >= least_days)
    return np.where(days >= least_days, np.where(news, p, 1.0), np.nan), joins


def _mean(base: Baseline, clean: Floats, drift: Floats, side: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Weighted mean of the days' scores [series] and its scale: noise of days, wander of the level, forecast."""
    whole = np.sqrt(side[:, None] ** 2 + drift**2)
    weight = weights / np.maximum(weights.sum(axis=1), 1e-9)[:, None]
    with np.errstate(invalid="ignore"):
        mean = np.where(weight > 0, weight * np.clip(clean / whole, -CLIP, CLIP), 0.0).sum(axis=1)
        noise = np.where(weight > 0, (weight * side[:, None] / whole) ** 2, 0.0).sum(axis=1)
        loose = np.where(weight > 0, weight * drift / whole, 0.0).sum(axis=1)
    rests_on = 1 + 1.57 * WEEK / np.maximum(base.days, 1)
    return mean, np.maximum(np.sqrt(noise * rests_on + loose**2), 1e-9)


def _freedom(base: Baseline) -> Floats:
    """Degrees of freedom [series] of the scales."""
    return np.asarray(np.clip(FREEDOM_SHARE * base.days, *FREEDOM))


def _week_seen_before(grid: Grid, base: Baseline, clean: Floats, steep: Floats) -> Floats:
    """Share of earlier weeks whose level missed its forecast by as much; 0 unless two did."""
    missed = base.missed[:, grid.first_week + RECENT_WEEKS :]
    with np.errstate(invalid="ignore", divide="ignore"):
        gap = np.nansum(clean, axis=1) / np.maximum(np.nansum(np.where(np.isnan(clean), np.nan, steep), axis=1), 1e-9)
    known = np.isfinite(missed)
    as_far = np.where(known, np.sign(gap)[:, None] * missed, -np.inf) >= REPEATS * np.abs(gap)[:, None]
    count = as_far.sum(axis=1)
    return np.where(count >= 2, count / np.maximum(known.sum(axis=1), 1), 0.0)


def _quiet_weekend(grid: Grid, base: Baseline) -> Bools:
    """Apps whose weekends are idle or far below their weekdays [series]."""
    weekend, weekday = base.rhythm[:, grid.is_weekend], base.rhythm[:, ~grid.is_weekend]
    low = np.median(weekend, axis=1) - np.median(weekday, axis=1) < -np.log(2.5)
    idle = base.idle[:, grid.is_weekend].all(axis=1)
    return np.asarray((low & ~base.idle[:, ~grid.is_weekend].all(axis=1)) | idle)


def _silence(grid: Grid, base: Baseline, noise: Noise, judged: Judgement, expected: Floats) -> tuple[Floats, Bools]:
    """p-value of the judged days without anything [series]: how likely so many zeros are, times the sets of so many.

    A zero of its own has the probability of a negative binomial, and at least that with which the app's history shows
    one on days on which it usually works.
    """
    working = ~np.tile(base.idle, (1, grid.values.shape[1] // WEEK))
    history = working & np.isfinite(noise.past)
    zeros = ((grid.values == 0) & history).sum(axis=1)
    often = (zeros + ZERO_PRIOR) / (history.sum(axis=1) + 1.0)
    shape = noise.dispersion * noise.down**2
    with np.errstate(invalid="ignore"):
        chance = np.exp(-np.log1p(shape[:, None] * judged.expected) / shape[:, None])
    silent = (judged.observed == 0) & (judged.expected >= 1) & ~judged.shared & ~judged.excused
    chance = np.where(silent, np.maximum(chance, often[:, None]), 1.0)
    missing = np.where(silent, judged.expected, 0.0).sum(axis=1)
    enough = (silent.sum(axis=1) >= 2) & (missing >= np.where(grid.is_bytes, FALL_BYTES, MIN_COUNT))
    sets = special.binom(np.isfinite(judged.expected).sum(axis=1), silent.sum(axis=1))
    p = np.minimum(sets * np.prod(chance, axis=1), 1.0)
    known = np.isfinite(judged.expected).any(axis=1)
    return np.where(known, np.where(enough, p, 1.0), np.nan), silent


def _ramp(
    grid: Grid, base: Baseline, noise: Noise, judged: Judgement, clean: Floats, drift: Floats, p_week: Floats
) -> tuple[Floats, Bools]:
    """p-value of a rise that goes on through the judged days [series]: the later days weigh more."""
    age = grid.test_ages.astype(float)
    weight = 1.0 - (age - age.min()) / (age.max() - age.min() + 1.0)
    known = np.isfinite(clean)
    weights = np.where(known, weight, 0.0)
    mean, scale = _mean(base, clean, drift, noise.typical, weights)
    p = two_sided(mean / scale, _freedom(base))
    centred = np.where(known, weight - (weights.sum(axis=1) / np.maximum(known.sum(axis=1), 1))[:, None], 0.0)
    rises = (centred * np.where(known, np.clip(clean / noise.typical[:, None], -CLIP, CLIP), 0.0)).sum(axis=1) > 0
    with np.errstate(invalid="ignore"):
        late = known & (judged.score >= JOINS) & (judged.observed >= 1.2 * judged.expected)
    total, usual = (np.where(late, values, 0.0).sum(axis=1) for values in (judged.observed, judged.expected))
    least = np.where(grid.is_bytes, MIN_BYTES, MIN_COUNT) * WEEK_DAYS
    news = (mean > 0) & rises & (total >= DAY_RISE * usual) & (total - usual >= least) & (late.sum(axis=1) >= 3)
    return np.where(np.isnan(p_week), np.nan, np.where(news, p, 1.0)), late
