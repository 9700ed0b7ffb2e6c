"""Which days of which apps left their own baseline: one pure function over daily numbers.

Rows become one block of series by day (`grid`). Each series gets an expectation from its own weeks (`baseline`) and a
scale on which counts and bytes of any size vary alike (`noise`); days on which many apps of one rhythm moved together
are nobody's anomaly (`shared_days`), and apps too young borrow from their peers (`peers`). Each day alone, the week,
its weekend, its silence and its slope are tested (`judgement`), and all p-values of a run are weighed together at a
stated share of false alarms (`budget`). The decision page 0007 says why.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa

from appgov_lib.anomalies import baseline, judgement, noise, peers, shared_days, wording
from appgov_lib.anomalies.budget import select
from appgov_lib.anomalies.grid import Bools, Ints, lay_out
from appgov_lib.anomalies.wording import HISTORY_TOO_SHORT

__all__ = ["HISTORY_TOO_SHORT", "OUTPUT_TYPES", "score_daily"]

OUTPUT_TYPES = {
    "app_id": "str",
    "metric": "str",
    "day": "datetime64[us]",
    "observed": "float64",
    "expected": "float64",
    "lower": "float64",
    "upper": "float64",
    "p_value": "float64",
    "score": "float64",
    "is_anomaly": "bool",
    "kind": "str",
    "compared_with": "str",
    "history_days": "int64",
    "missing_days": "int64",
    "week_p_value": "float64",
    "reason": "str",
}


def score_daily(
    daily: pd.DataFrame,
    kinds: pd.DataFrame | None = None,
    *,
    test_days: int = 7,
    history_weeks: int = 12,
    false_discovery_rate: float = 0.05,
) -> pd.DataFrame:
    """Judge the last `test_days` days present in `daily` against the days before them.

    `daily` has the columns app_id, metric, day, value in any row order, at most one row for app, metric and day.
    A missing row (or value) is unknown and skipped; zero is a measurement. Metrics whose name contains "bytes"
    are sizes, all others counts. `kinds` (app_id, kind) says which apps are peers; without it all are.

    Returns one row for each app, metric and judged day that has a value, ordered by these three: observed;
    expected, lower and upper (99 % range) in the metric's unit; p_value (two-sided, of that day alone); score
    (signed, in scales of the series, positive = more than expected); is_anomaly (after all tests of the run are
    weighed); kind (burst, drop, steady, fall, ramp, off_hours, silence; empty where no anomaly); compared_with (own
    history, own first days and peers, or peers); history_days and missing_days (before the judged ones, from the
    series' first day on); week_p_value (smallest of the tests of the judged days together); reason. Where the
    history is too short and there are no peers, the numbers are NaN and the reason says so.

    Raises `UserError` for a missing column, an empty or duplicate key, or a negative or infinite value.
    """
    grid = lay_out(daily, test_days, history_weeks)
    if grid is None:
        return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in OUTPUT_TYPES.items()})
    own = baseline.fit(grid)
    base, loan = peers.borrow(grid, own, peers.kinds_of(grid, kinds))
    expected, spread = noise.expectation(grid, base)
    spread = peers.lent_dispersion(spread, loan)
    score = noise.scores(grid, expected, spread)
    together = shared_days.find(grid, shared_days.rhythms(grid, base), expected, score)
    shared = (together.fell & (score < 0)) | (together.rose & (score > 0))
    measured = peers.lent_noise(noise.measure(grid, base, score, spread, shared), base, loan)
    judgeable = (base.days >= baseline.OWN_DAYS) | loan.young
    judged = judgement.judge(grid, base, measured, together, expected, judgeable)
    tests = np.stack([judged.p_test[name] for name in judgement.TESTS], axis=1)
    by_day, by_test = select(
        grid.app,
        np.where(judged.day_is_news | np.isnan(judged.p_day), judged.p_day, 1.0),
        tests,
        false_discovery_rate,
    )
    kind = wording.kinds(judged, by_day, by_test)
    series, day = np.nonzero(np.isfinite(judged.observed[:, ::-1]))
    at = (series.astype(np.int64), (judged.observed.shape[1] - 1 - day).astype(np.int64))  # oldest day first
    against = wording.compared_with(base, loan, judgeable)
    week = np.where(np.isnan(tests).all(axis=1), np.nan, np.fmin.reduce(tests, axis=1))
    result = {
        "app_id": _texts(grid.apps, grid.app[at[0]]),
        "metric": _texts(grid.metrics, grid.metric[at[0]]),
        "day": (grid.last_day - grid.test_ages[at[1]]).astype("datetime64[us]"),
        **{name: getattr(judged, name)[at] for name in ("observed", "expected", "lower", "upper")},
        "p_value": judged.p_day[at],
        "score": judged.score[at],
        "is_anomaly": (kind != "")[at],
        "kind": kind[at],
        "compared_with": against[at[0]],
        "history_days": base.days[at[0]].astype(np.int64),
        "missing_days": _missing(grid.values, grid.is_test)[at[0]],
        "week_p_value": week[at[0]],
        "reason": wording.reasons(grid, base, judged, together, kind, against, at),
    }
    return pd.DataFrame(result).astype(OUTPUT_TYPES)


def _texts(names: pa.Array, place: Ints) -> pd.Series:
    """The texts at these places."""
    return pd.Series(pd.array(names.take(pa.array(place)), dtype="str"))


def _missing(values: np.ndarray, is_test: Bools) -> Ints:
    """Days without a value before the judged ones, from each series' first day on."""
    known = np.isfinite(values) & ~is_test
    first = values.shape[1] - np.argmax(known[:, ::-1], axis=1)  # ages below this have been seen
    span = np.where(known.any(axis=1), first, 0)
    judged = np.cumsum(is_test)[np.maximum(first - 1, 0)]
    return np.asarray(np.maximum(span - judged - known.sum(axis=1), 0), dtype=np.int64)
