"""Which days of which apps left their own baseline: one pure function over daily numbers.

Every app is compared with itself. A day is judged against the same weekday of the weeks before (`baseline`), counts
by an over-dispersed negative-binomial tail and bytes by a t tail on the logarithm (`tails`). The judged days
together are a test of their own, so that seven moderately raised days are found although no single one stands
out. All p-values of a run are then weighed together (`budget`): Simes' inequality within an app,
Benjamini-Hochberg over apps, so the share of false alarms among flagged apps stays within a stated budget.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from appgov_lib.anomalies.baseline import Baseline, Bools, Grid, fit, lay_out
from appgov_lib.anomalies.budget import select
from appgov_lib.anomalies.tails import Judgement, judge
from appgov_lib.errors import UserError

__all__ = ["HISTORY_TOO_SHORT", "OUTPUT_TYPES", "score_daily"]

INPUT_COLUMNS = ("app_id", "metric", "day", "value")
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
    "history_days": "int64",
    "week_p_value": "float64",
    "reason": "str",
}
HISTORY_TOO_SHORT = "history too short"


def score_daily(
    daily: pd.DataFrame, *, test_days: int = 7, history_weeks: int = 12, false_discovery_rate: float = 0.05
) -> pd.DataFrame:
    """Judge the last `test_days` days present in `daily` against the days before them.

    `daily` has the columns app_id, metric, day, value in any row order, at most one row for app, metric and day.
    A missing row (or value) is unknown and skipped; zero is a measurement. Metrics whose name contains "bytes"
    are sizes, all others counts.

    Returns one row for each app, metric and judged day that has a value, ordered by these three: observed;
    expected, lower and upper (99 % range) in the metric's unit; p_value (two-sided, of that day alone); score
    (signed, in standard deviations, positive = more than expected); is_anomaly (after all tests of the run are
    weighed); history_days (days the expectation rests on); week_p_value (of the judged days together); reason.
    Where the history is too short the numbers are NaN and the reason says so.

    Raises `UserError` for a missing column, an empty or duplicate key, or a negative or infinite value.
    """
    table = _checked(daily)
    if table.empty:
        return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in OUTPUT_TYPES.items()})
    grid = lay_out(table, test_days, history_weeks)
    base = fit(grid)
    judgement = judge(grid, base)
    day_chosen, week_chosen = select(
        grid.keys["app_id"].to_numpy(),
        np.where(judgement.day_is_news | np.isnan(judgement.p_day), judgement.p_day, 1.0),
        np.where((judgement.week_direction != 0) | np.isnan(judgement.p_week), judgement.p_week, 1.0),
        false_discovery_rate,
    )
    week_days = week_chosen[:, None] & judgement.joins_week
    return _rows(grid, base, judgement, day_chosen, week_days)


def _checked(daily: pd.DataFrame) -> pd.DataFrame:
    """Return the four columns with their types, rows without a value dropped; raise `UserError` for bad input."""
    missing = [name for name in INPUT_COLUMNS if name not in daily.columns]
    if missing:
        raise UserError(f"The daily numbers have no column {missing[0]!r}; expected app_id, metric, day and value.")
    try:
        days = pd.to_datetime(daily["day"], utc=True).dt.tz_localize(None).dt.normalize().astype("datetime64[us]")
        values = pd.to_numeric(daily["value"]).astype("float64")
    except (ValueError, TypeError) as error:
        raise UserError(f"The daily numbers hold a day or a value that cannot be read: {error}.") from error
    if days.isna().any() or daily["app_id"].isna().any() or daily["metric"].isna().any():
        raise UserError("The daily numbers hold a row without app_id, metric or day; leave such rows out.")
    if ((values < 0) | np.isinf(values)).any():
        raise UserError("The daily numbers hold a negative or infinite value; counts and bytes are zero or more.")
    table = pd.DataFrame(
        {"app_id": daily["app_id"].astype("str"), "metric": daily["metric"].astype("str"), "day": days, "value": values}
    ).dropna(subset=["value"])
    twice = table[table.duplicated(["app_id", "metric", "day"])]
    if not twice.empty:
        row = twice.iloc[0]
        raise UserError(
            f"The daily numbers hold {row['metric']!r} of app {row['app_id']!r} on {row['day']:%Y-%m-%d} more than "
            "once; add these rows up first."
        )
    return table


def _rows(grid: Grid, base: Baseline, judged: Judgement, by_day: Bools, by_week: Bools) -> pd.DataFrame:
    """Bring the judged days [series, day] into the output table; days without a value give no row."""
    series, day = np.nonzero(np.isfinite(judged.observed))
    result = grid.keys.iloc[series].reset_index(drop=True)
    result["day"] = (grid.last_day - pd.to_timedelta(grid.test_ages[day], unit="D")).astype("datetime64[us]")
    for name in ("observed", "expected", "lower", "upper", "p_value", "score"):
        values = judged.p_day if name == "p_value" else getattr(judged, name)
        result[name] = values[series, day]
    result["is_anomaly"] = (by_day | by_week)[series, day]
    result["history_days"] = base.points[series, grid.test_ages[day] % 7].astype("int64")
    result["week_p_value"] = judged.p_week[series]
    result["reason"] = np.where(np.isnan(result["p_value"]), HISTORY_TOO_SHORT, "")
    alone = by_day[series, day]
    for row in np.flatnonzero(result["is_anomaly"].to_numpy()):
        result.loc[row, "reason"] = _reason(result.iloc[row], bool(alone[row]), judged.observed.shape[1])
    ordered = result.sort_values(["app_id", "metric", "day"], kind="stable", ignore_index=True)
    return ordered[list(OUTPUT_TYPES)].astype(OUTPUT_TYPES)


def _reason(row: pd.Series, alone: bool, days: int) -> str:
    """One sentence for a flagged day: what was seen, what was expected, and which test says so."""
    word = "above" if row["observed"] > row["expected"] else "below"
    text = (
        f"{row['observed']:,.0f} observed, {word} the {row['expected']:,.0f} expected "
        f"(99 % range {row['lower']:,.0f} to {row['upper']:,.0f}, from {row['history_days']} earlier days)"
    )
    return f"{text}." if alone else f"{text}; found by the {days} days together."
