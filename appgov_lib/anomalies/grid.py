"""Daily rows as one block: series by age in days, missing days NaN. A missing day is unknown, never zero."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from typing import TypeVar

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from appgov_lib.errors import UserError

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

INPUT_COLUMNS = ("app_id", "metric", "day", "value")
T = TypeVar("T")

WEEK = 7
THREADS = 2
FURTHEST = 10_000  # days; what is older than that is old
PART = 8_192  # series worked on at once: they fit into the processor's cache


@dataclass(frozen=True)
class Grid:
    """The values of all series; age 0 is the newest day present, week 0 the newest seven days."""

    apps: pa.Array
    """distinct app ids, in order"""
    metrics: pa.Array
    """distinct metrics, in order"""
    app: Ints
    """[series], index into `apps`; series are ordered by app, then metric"""
    metric: Ints
    """[series], index into `metrics`"""
    values: Floats
    """[series, age]"""
    test_ages: Ints
    """ages of the judged days, newest first"""
    is_test: Bools
    """[age]"""
    is_weekend: Bools
    """[position], position = age % 7"""
    is_bytes: Bools
    """[series]"""
    last_day: np.datetime64

    @property
    def first_week(self) -> int:
        """The newest week without a judged day."""
        return int(self.test_ages[-1]) // WEEK + 1

    def part(self, at: slice) -> Grid:
        """Some of the series."""
        return replace(
            self, app=self.app[at], metric=self.metric[at], values=self.values[at], is_bytes=self.is_bytes[at]
        )

    def side_by_side(self, work: Callable[[slice], T]) -> list[T]:
        """Do `work` for `PART` series at a time, two parts at once: numpy lets other threads run."""
        slices = [slice(start, start + PART) for start in range(0, len(self.values), PART)]
        with ThreadPoolExecutor(THREADS) as pool:
            return list(pool.map(work, slices))


def cut(numbers: T, at: slice) -> T:
    """Some of the series of a dataclass of arrays."""
    return type(numbers)(*(getattr(numbers, item.name)[at] for item in fields(numbers)))  # type: ignore[arg-type]


def joined(parts: list[T]) -> T:
    """The series of all parts of a dataclass of arrays."""
    names = [item.name for item in fields(parts[0])]  # type: ignore[arg-type]
    return type(parts[0])(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def lay_out(daily: pd.DataFrame, test_days: int, history_weeks: int) -> Grid | None:
    """Lay `daily` out, or return None if it holds no value; series without a judged day are left out.

    Raises `UserError` for a missing column, an empty or duplicate key, or a value that is not zero or more.
    """
    missing = [name for name in INPUT_COLUMNS if name not in daily.columns]
    if missing:
        raise UserError(f"The daily numbers have no column {missing[0]!r}; expected app_id, metric, day and value.")
    day, values = _numbers(daily)
    app, apps = _codes(daily["app_id"])
    metric, metrics = _codes(daily["metric"])
    if np.isnat(day).any() or (app < 0).any() or (metric < 0).any():
        raise UserError("The daily numbers hold a row without app_id, metric or day; leave such rows out.")
    known = ~np.isnan(values)
    if (values[known] < 0).any() or np.isinf(values).any():
        raise UserError("The daily numbers hold a negative or infinite value; counts and bytes are zero or more.")
    if not known.all():
        day, values, app, metric = day[known], values[known], app[known], metric[known]
    if not len(values):
        return None
    last = day.max()
    age = (last - day).astype(np.int64)
    test_ages = np.flatnonzero(np.bincount(np.minimum(age, FURTHEST)))[:test_days].astype(np.int64)
    weeks = int(test_ages[-1]) // WEEK + 1 + history_weeks
    _refuse_twice(app * len(metrics) + metric, age, int(age.max()) + 1, apps, metrics, last)
    young = age < weeks * WEEK
    if not young.all():
        age, values, app, metric = age[young], values[young], app[young], metric[young]
    key = app * len(metrics) + metric
    judged = np.bincount(key, weights=age <= test_ages[-1], minlength=len(apps) * len(metrics)) > 0
    keys = np.flatnonzero(judged)
    number = np.full(len(judged), -1, dtype=np.int64)
    number[keys] = np.arange(len(keys))
    block = np.full((len(keys), weeks * WEEK), np.nan)
    series = number[key]
    if (series < 0).any():
        here = series >= 0
        series, age, values = series[here], age[here], values[here]
    block[series, age] = values
    is_test = np.zeros(weeks * WEEK, dtype=bool)
    is_test[test_ages] = True
    weekday = (last.astype(np.int64) + 3 - np.arange(WEEK)) % WEEK  # 1970-01-01 was a Thursday
    sizes = np.array(["bytes" in name.lower() for name in metrics.to_pylist()])
    kind = keys % len(metrics)
    return Grid(apps, metrics, keys // len(metrics), kind, block, test_ages, is_test, weekday >= 5, sizes[kind], last)


def _numbers(daily: pd.DataFrame) -> tuple[NDArray[np.datetime64], Floats]:
    """Days (UTC, whole) and values of the rows."""
    try:
        days = daily["day"]
        if not isinstance(days.dtype, np.dtype) or days.dtype.kind != "M":
            days = pd.to_datetime(days, utc=True).dt.tz_localize(None)
        values = pd.to_numeric(daily["value"]).to_numpy(dtype=np.float64, na_value=np.nan)
    except (ValueError, TypeError) as error:
        raise UserError(f"The daily numbers hold a day or a value that cannot be read: {error}.") from error
    return days.to_numpy().astype("datetime64[D]"), values


def _codes(column: pd.Series) -> tuple[Ints, pa.Array]:
    """Place of each row's text in the ordered list of distinct texts (-1 where there is none), and the list."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        codes, texts = column.cat.codes.to_numpy().astype(np.int64), pa.array(column.cat.categories.astype("str"))
        used = np.unique(codes[codes >= 0])
        place = np.full(len(texts) + 1, -1, dtype=np.int64)
        place[used] = np.arange(len(used))
        codes, texts = place[codes], texts.take(pa.array(used))
    else:
        text = pa.array(column if column.dtype == "str" else column.astype("str"))
        encoded = text.combine_chunks() if isinstance(text, pa.ChunkedArray) else text
        encoded = encoded.dictionary_encode()
        codes = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False).astype(np.int64)
        texts = encoded.dictionary.cast(pa.string())
    order = pc.array_sort_indices(texts).to_numpy()
    rank = np.full(len(order) + 1, -1, dtype=np.int64)
    rank[order] = np.arange(len(order))
    return rank[codes], texts.take(pa.array(order))


def _refuse_twice(key: Ints, age: Ints, ages: int, apps: pa.Array, metrics: pa.Array, last: np.datetime64) -> None:
    """Raise `UserError` if an app has two values of a metric on one day."""
    cells = key * ages + age
    if len(apps) * len(metrics) * ages <= 8 * len(cells) + 1_000_000:
        most = np.bincount(cells)
        twice = np.flatnonzero(most > 1)[:1]
    else:
        ordered = np.sort(cells)
        twice = ordered[1:][ordered[1:] == ordered[:-1]][:1]
    if len(twice):
        series, old = divmod(int(twice[0]), ages)
        app, metric = divmod(series, len(metrics))
        raise UserError(
            f"The daily numbers hold {metrics[metric].as_py()!r} of app {apps[app].as_py()!r} on {last - old} more "
            "than once; add these rows up first."
        )
