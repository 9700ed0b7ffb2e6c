"""How much each series varies by itself, on a scale on which counts of any size vary alike.

Numbers are compared through the variance-stabilising transform of over-dispersed counts with variance m + a m^2,
2 / sqrt(a) * asinh(sqrt(a (x + 3/8))) (Anscombe 1948): a square root where Poisson noise rules, a logarithm where the
app's own does. Bytes have only the second part. Its upper tail is heavier than the negative binomial's, so its
p-values are on the careful side.

The scale of what is left is the larger of the MAD (Rousseeuw and Croux 1993) and of what the third-largest earlier
deviation to that side says, so that a series that bursts by itself is judged by its own bursts, up and down apart.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import special

from appgov_lib.anomalies.baseline import Baseline, median
from appgov_lib.anomalies.grid import WEEK, Bools, Floats, Grid, cut, joined

COUNT_FLOOR, BYTES_FLOOR = 0.01, 0.06  # least over-dispersion: counts vary by a tenth, bytes by a quarter
MOST = 9.0
BYTES_OFFSET = 50_000.0  # sizes of a few messages are all alike
LIMIT = 60.0  # a score beyond it says no more
TAIL_SHARE = 0.025
FAR = 4.0
MONTH = (27, 28, 29, 30, 31, 32, 35, 58, 59, 60, 61, 62, 63)  # days between runs of a monthly job, one or two months
MONTHLY_TIMES, MONTHLY_BYTES, MONTHLY_LESS, MONTHLY_DAYS = 3.0, 5.0, 20.0, 2
RECENT_WEEKS = 2
LEAST_WANDER, USUAL_WANDER = 0.08, 0.4  # log units; in units of a day's noise


@dataclass(frozen=True)
class Noise:
    """Deviations of every day and their scale."""

    score: Floats
    """[series, age], stabilised deviation from the expectation; NaN where unknown"""
    dispersion: Floats
    """[series], a of the variance m + a m^2"""
    typical: Floats
    """[series], scale of `score` in the middle, at least 1"""
    up: Floats
    """[series], scale of `score` for rises"""
    down: Floats
    """[series], the same for falls"""
    wander: Floats
    """[series], log units, by which a week's level misses its forecast"""
    past: Floats
    """[series, age], scores of history without common days and without a monthly job's runs"""
    highest: Floats
    """[series], the largest deviation upwards of history"""
    lowest: Floats
    """[series], the largest downwards, positive"""
    monthly: Bools
    """[series, age], a far day that has a partner about a month before or after it"""


def stabilised(value: Floats, dispersion: Floats, is_bytes: Bools) -> Floats:
    """The transform of `value` [series, ...]."""
    a = np.sqrt(dispersion)[:, None]
    root = np.sqrt(value + np.where(is_bytes, BYTES_OFFSET, 0.375)[:, None])
    return np.asarray(2.0 / a * np.arcsinh(a * root))


def restored(score: Floats, dispersion: Floats, is_bytes: Bools) -> Floats:
    """The value whose transform is `score`, at least 0."""
    a = np.sqrt(dispersion)[:, None]
    root = np.sinh(np.clip(a * score / 2.0, 0.0, 300.0)) / a
    return np.asarray(np.maximum(root**2 - np.where(is_bytes, BYTES_OFFSET, 0.375)[:, None], 0.0))


def expectation(grid: Grid, base: Baseline) -> tuple[Floats, Floats]:
    """Expected values [series, age] and over-dispersion [series]."""

    def work(at: slice) -> tuple[Floats, Floats]:
        """The same of some series."""
        some, its = grid.part(at), cut(base, at)
        expected = its.expected(some)
        return expected, dispersion(some, expected, its)

    expected, spread = zip(*grid.side_by_side(work), strict=True)
    return np.concatenate(expected), np.concatenate(spread)


def dispersion(grid: Grid, expected: Floats, base: Baseline) -> Floats:
    """Over-dispersion a [series] from the median size of history's deviations."""
    quiet = np.tile(base.idle, (1, expected.shape[1] // WEEK)) | (expected < 1)
    history = np.where(grid.is_test | quiet, np.nan, grid.values)
    gap = median(np.abs(history - expected) / np.sqrt(expected + 1))
    # As many levels and weekdays were fitted as there are; what is left over is smaller than the noise.
    weeks = np.maximum(np.isfinite(base.level).sum(axis=1), 3)
    gap = 1.4826 * gap * np.sqrt(WEEK * weeks / ((weeks - 1) * (WEEK - 1)))
    size = median(np.where(np.isfinite(history), expected, np.nan))
    found = (gap**2 - np.where(grid.is_bytes, 0.0, 1.0)) / np.maximum(size, 1.0)
    return np.asarray(np.clip(np.nan_to_num(found), np.where(grid.is_bytes, BYTES_FLOOR, COUNT_FLOOR), MOST))


def scores(grid: Grid, expected: Floats, spread: Floats) -> Floats:
    """Stabilised deviation of every day from its expectation [series, age]."""

    def work(at: slice) -> Floats:
        """The same of some series."""
        seen, usual = (stabilised(part[at], spread[at], grid.is_bytes[at]) for part in (grid.values, expected))
        return np.clip(seen - usual, -LIMIT, LIMIT)

    return np.concatenate(grid.side_by_side(work))


def measure(grid: Grid, base: Baseline, score: Floats, spread: Floats, common: Bools) -> Noise:
    """Scales of all series, `common` [series, age] days left out."""
    parts = grid.side_by_side(lambda at: _measure(grid.part(at), cut(base, at), score[at], spread[at], common[at]))
    noise = joined(parts)
    return replace(noise, wander=_wander(grid, base, noise.typical, spread))


def _measure(grid: Grid, base: Baseline, score: Floats, spread: Floats, common: Bools) -> Noise:
    """The same of some of the series, without the wander, which goes by what is usual for all."""
    monthly = _monthly(grid, score, common)
    past = np.where(grid.is_test | common | monthly, np.nan, score)
    weeks = np.maximum(np.isfinite(base.level).sum(axis=1), 3)
    lost = np.sqrt(WEEK * weeks / ((weeks - 1) * (WEEK - 1)))
    middle = 1.4826 * median(np.abs(past)) * lost
    start = (grid.first_week + RECENT_WEEKS) * WEEK  # a slow theft must not widen the yardstick that measures it
    recent_weekend = (np.arange(past.shape[1]) < start) & np.tile(grid.is_weekend, past.shape[1] // WEEK)
    ordered = np.sort(np.where(recent_weekend, np.nan, past), axis=1)
    count = np.isfinite(ordered).sum(axis=1)
    rank = np.maximum(np.ceil(TAIL_SHARE * count), 2)
    usual = special.ndtri(1 - (rank - 0.5) / np.maximum(count, 4))
    row, last = np.arange(len(past)), np.maximum(count - 1, 0)
    place = rank.astype(np.int64)
    high = ordered[row, np.maximum(last - place + 1, 0)] * lost / usual
    low = -ordered[row, np.minimum(place - 1, last)] * lost / usual
    least = np.fmax(np.nan_to_num(middle), 1.0)
    up, down = np.fmax(least, np.nan_to_num(high)), np.fmax(least, np.nan_to_num(low))
    highest, lowest = np.nan_to_num(ordered[row, last]), np.nan_to_num(-ordered[:, 0])
    return Noise(score, spread, least, up, down, np.zeros(len(past)), past, highest, lowest, monthly)


def _monthly(grid: Grid, score: Floats, common: Bools) -> Bools:
    """Far days with another far one about a month away, in series that have few of them."""
    far = (np.abs(score) > FAR) & ~common
    days = np.isfinite(score).sum(axis=1)
    few = far[:, ~grid.is_test].sum(axis=1) <= 0.035 * days + 1
    rows = np.flatnonzero(far.any(axis=1) & few)
    near = np.zeros_like(far[rows])
    for lag in MONTH:
        if lag < far.shape[1]:
            near[:, :-lag] |= far[rows, lag:]
            near[:, lag:] |= far[rows, :-lag]
    monthly = np.zeros_like(far)
    monthly[rows] = far[rows] & near
    return monthly


def month_before(grid: Grid, noise: Noise, common: Bools) -> Bools:
    """Whether a judged day [series, judged] is, or may be, the run of a monthly job.

    It is one if it repeats a far day of one or two months before in about its size. It may be one if nobody recorded
    the days on which such a run would have been. A job has one or two such days a week; where more of the judged days
    are about as far out, none is excused.
    """
    ages, length = grid.test_ages, grid.values.shape[1]
    excused = np.zeros((len(grid.values), len(ages)), dtype=bool)
    here = noise.score[:, ages]
    rows = np.flatnonzero((here > FAR).any(axis=1))
    unknown = np.isnan(grid.values[rows]) | common[rows]
    unknown = np.concatenate([unknown, np.ones((len(rows), 2 * MONTH[-1]), dtype=bool)], axis=1)
    times = np.where(grid.is_bytes[rows], MONTHLY_BYTES, MONTHLY_TIMES)[:, None]
    for column, age in enumerate(ages):
        now, value = noise.score[rows, age], grid.values[rows, age][:, None]
        alone = (here[rows] >= 0.5 * now[:, None]).sum(axis=1) <= MONTHLY_DAYS
        lags = [age + lag for lag in MONTH if age + lag < length]
        then, before = noise.score[np.ix_(rows, lags)], grid.values[np.ix_(rows, lags)]
        alike = (value <= times * before + 10) & (before <= MONTHLY_LESS * value)
        same = ((then > FAR) & alike).any(axis=1)
        may = np.zeros(len(rows), dtype=bool)
        for lag, twice in ((30, 60), _months(grid.last_day - age)) if age + 35 < length else ():
            may |= unknown[:, age + lag] & unknown[:, age + twice]
        excused[rows, column] = (now > FAR) & alone & (same | may)
    return excused


def _months(day: np.datetime64) -> tuple[int, int]:
    """Days back to the same day of the month before, and of the month before that."""
    month = day.astype("datetime64[M]")
    inside = day - month.astype("datetime64[D]")
    back = [day - ((month - count).astype("datetime64[D]") + inside) for count in (1, 2)]
    return int(back[0].astype(np.int64)), int(back[1].astype(np.int64))


def _wander(grid: Grid, base: Baseline, typical: Floats, spread: Floats) -> Floats:
    """Robust size of forecast errors of the weekly level [series], log units.

    The series' own misses, drawn towards what is usual for its kind of metric in units of a day's noise, since a dozen
    weeks tell a scale badly. They hold the noise of a week's level too, which leaves some room.
    """
    start = grid.first_week + RECENT_WEEKS  # an attack that has gone on for two weeks is no wander
    missed = base.missed[:, start:]
    count = np.isfinite(missed).sum(axis=1)
    own = np.nan_to_num(1.4826 * median(np.abs(missed)))
    size = np.maximum(np.expm1(np.nan_to_num(base.size())), 1.0)
    daily = typical * np.sqrt((1 + spread * size) / size)  # noise of a day in log units
    result = np.empty(len(own))
    for is_bytes in (False, True):
        same = grid.is_bytes == is_bytes
        enough = same & (count >= 4) & ~base.idle.all(axis=1)
        usual = float(np.median(own[enough] / daily[enough])) if enough.sum() >= 20 else USUAL_WANDER
        mixed = (count * own**2 + 4 * (usual * daily) ** 2) / (count + 4)
        result[same] = np.sqrt(mixed[same])
    return np.maximum(result, LEAST_WANDER)
