"""How well and how fast anomalies are found, beside the ways in use elsewhere, on tenants whose anomalies are known.

The other ways are what their sources do, step by step, per series in a loop: mean + 2.5 standard deviations over 30
days with the judged days inside (a published hunting query), percent against yesterday (usual threshold rules),
seasonal decomposition with Tukey's fences (as `series_decompose_anomalies` is described), and the steps of msticpy's
`ts_anomalies_stl`. They have no budget, so each runs at the threshold its source uses.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from bench_series import ATTACKS, SHAPES, Floats, Tenant, tenant
from numpy.typing import NDArray

from appgov_lib.anomalies import score_daily

SEEDS = range(1000, 1012)
"""Seeds the engine was not developed on."""
APPS, TEST_DAYS = 400, 7
WANTED_F1, WANTED_PRECISION, WANTED_SECONDS, WANTED_TIMES = 0.90, 0.90, 5.0, 100.0
ITSELF = 4.4
"""How much slower msticpy's own function is than its bare steps: 84 series of 91 days a second (`ts_anomalies_stl` of
msticpy 3.0.2, 200 of them), where the steps alone made 370, on the same machine in the same hour."""
Bools = NDArray[np.bool_]


def mean_and_deviations(values: Floats) -> Bools:
    """More than 2.5 standard deviations above the mean of 30 days, the judged ones among them."""
    window = values[-30:]
    return np.asarray(values > np.nanmean(window) + 2.5 * np.nanstd(window))


def percent_of_yesterday(values: Floats) -> Bools:
    """More than twice, or less than half, of the day before."""
    before = np.concatenate([[np.nan], values[:-1]])
    with np.errstate(divide="ignore", invalid="ignore"):
        change = values / before
    return np.asarray((change > 2) | (change < 0.5))


def filled(values: Floats) -> Floats:
    """The series without gaps, as these ways need it: linear between the neighbours."""
    known = np.flatnonzero(np.isfinite(values))
    return np.interp(np.arange(len(values)), known, values[known])


def decomposition(values: Floats) -> Bools:
    """Residual of seasonal means and a line beyond Tukey's fences of 1.5 with the 10th and 90th percentile."""
    series, place = filled(values), np.arange(len(values))
    line = np.polyval(np.polyfit(place, series, 1), place)
    season = np.array([np.mean((series - line)[day::7]) for day in range(7)])[place % 7]
    rest = series - line - season
    low, high = np.percentile(rest, [10, 90])
    reach = 1.5 * (high - low)
    return np.asarray((rest > high + reach) | (rest < low - reach))


def stl_steps(values: Floats) -> Bools:
    """STL (period 7 for days), all parts cut to whole numbers, the residual's z-score above 3, as msticpy does it.

    Each series is a frame, as it is there. A drop has a negative score and is never told; the sign is that of the
    seasonal part, so where that is 0 nothing is told either.
    """
    from scipy import stats
    from statsmodels.tsa.seasonal import STL

    frame = pd.DataFrame({"value": filled(values)})
    fitted = STL(frame["value"], period=7, seasonal=7).fit()
    for name in ("resid", "trend", "seasonal", "weights"):
        frame[name] = getattr(fitted, name)
    frame = frame.fillna(0).astype("int64")
    with np.errstate(divide="ignore", invalid="ignore"):
        frame["score"] = stats.zscore(frame["resid"])
    return ((frame["score"] > 3) & (frame["seasonal"] != 0)).to_numpy()


PEERS: dict[str, Callable[[Floats], Bools]] = {
    "mean + 2.5 sd": mean_and_deviations,
    "percent of yesterday": percent_of_yesterday,
    "decomposition, Tukey fences": decomposition,
    "msticpy's steps (STL)": stl_steps,
}


def by_engine(one: Tenant, budget: float = 0.05) -> set[tuple[str, pd.Timestamp]]:
    """App and day that the engine flags."""
    scored = score_daily(one.daily, false_discovery_rate=budget)
    found = scored[scored["is_anomaly"]]
    return set(zip(found["app_id"], found["day"], strict=True))


def by_peer(one: Tenant, way: Callable[[Floats], Bools]) -> set[tuple[str, pd.Timestamp]]:
    """App and day that another way flags, one series after the other."""
    days = pd.date_range(one.daily["day"].min(), one.daily["day"].max())
    wide = one.daily.pivot_table(index=["app_id", "metric"], columns="day", values="value").reindex(columns=days)
    judged = set(np.sort(one.daily["day"].unique())[-TEST_DAYS:])
    found = set()
    for (app, _), values in zip(wide.index, wide.to_numpy(), strict=True):
        first = int(np.argmax(np.isfinite(values)))
        flags = way(values[first:]) & np.isfinite(values[first:])
        found |= {
            (app, days[int(first + at)])
            for at in np.flatnonzero(flags)
            if days[int(first + at)].to_datetime64() in judged
        }
    return found


@dataclass
class Count:
    """Hits and misses."""

    right: int = 0
    wrong: int = 0
    missed: int = 0

    def add(self, found: set[object], truth: set[object]) -> None:
        """Count one tenant."""
        self.right += len(found & truth)
        self.wrong += len(found - truth)
        self.missed += len(truth - found)

    @property
    def precision(self) -> float:
        """Share of what was flagged that was attacked."""
        return self.right / max(self.right + self.wrong, 1)

    @property
    def recall(self) -> float:
        """Share of what was attacked that was flagged."""
        return self.right / max(self.right + self.missed, 1)

    @property
    def f1(self) -> float:
        """Harmonic mean of both."""
        return 2 * self.right / max(2 * self.right + self.wrong + self.missed, 1)


def compare(seeds: Iterable[int] = SEEDS) -> dict[str, tuple[Count, Count]]:
    """By way: counts of apps and of app-days over tenants of these seeds."""
    ways: dict[str, Callable[[Tenant], set[tuple[str, pd.Timestamp]]]] = {"appgov": by_engine}
    ways |= {name: lambda one, way=way: by_peer(one, way) for name, way in PEERS.items()}  # type: ignore[misc]
    counts = {name: (Count(), Count()) for name in ways}
    for seed in seeds:
        one = tenant(seed, APPS)
        attacked = set(one.apps.loc[one.apps["attack"] != "", "app_id"])
        for name, way in ways.items():
            found = way(one)
            counts[name][0].add({app for app, _ in found}, attacked)
            counts[name][1].add(set(found), set(one.truth))
    return counts


def table(counts: dict[str, tuple[Count, Count]]) -> str:
    """The comparison as Markdown."""
    lines = ["| way | precision | recall | F1 | false apps | F1 of app-days |", "|---|---:|---:|---:|---:|---:|"]
    for name, (apps, days) in counts.items():
        cells = [f"{apps.precision:.3f}", f"{apps.recall:.3f}", f"{apps.f1:.3f}", f"{apps.wrong:,}", f"{days.f1:.3f}"]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def budget_table(seeds: Iterable[int] = SEEDS) -> str:
    """What the engine makes of other shares of attacked apps and other budgets, as Markdown."""
    lines = ["| attacked | budget | precision | recall | false apps a tenant |", "|---:|---:|---:|---:|---:|"]
    tenants = {share: [tenant(seed, APPS, share) for seed in seeds] for share in (0.0, 0.01, 0.05, 0.1)}
    for share, ones in tenants.items():
        for budget in (0.01, 0.05, 0.2):
            count = Count()
            for one in ones:
                attacked = set(one.apps.loc[one.apps["attack"] != "", "app_id"])
                count.add({app for app, _ in by_engine(one, budget)}, attacked)
            right = [f"{count.precision:.3f}", f"{count.recall:.3f}"] if share else ["-", "-"]
            lines.append(f"| {share:.0%} | {budget:.0%} | {' | '.join(right)} | {count.wrong / len(ones):.2f} |")
    return "\n".join(lines)


def recall_table(seeds: Iterable[int] = SEEDS) -> str:
    """Recall of the engine by shape and attack, with the number of attacks, as Markdown."""
    frames = []
    for seed in seeds:
        one = tenant(seed, APPS)
        found = {app for app, _ in by_engine(one)}
        frames.append(one.apps.assign(found=one.apps["app_id"].isin(found)))
    apps = pd.concat(frames)
    lines = [f"| shape | {' | '.join(ATTACKS)} | false of innocent |", "|---|" + "---:|" * (len(ATTACKS) + 1)]
    for shape in SHAPES:
        mine, cells = apps[apps["shape"] == shape], []
        for attack in ATTACKS:
            hit = mine.loc[mine["attack"] == attack, "found"]
            cells.append(f"{hit.sum()} of {len(hit)}" if len(hit) else "-")
        innocent = mine.loc[mine["attack"] == "", "found"]
        lines.append(f"| {shape} | {' | '.join(cells)} | {innocent.sum()} of {len(innocent):,} |")
    return "\n".join(lines)


def large(apps: int = 20_000, metrics: int = 5, days: int = 91) -> pd.DataFrame:
    """Daily numbers of a large tenant, ordered as the warehouse gives them."""
    rng = np.random.default_rng(1)
    names = np.repeat([f"{number:08x}-0000-4000-8000-{number:012x}" for number in range(apps)], metrics * days)
    kinds = np.tile(np.repeat(["api_calls", "bytes_returned", "failures", "sign_ins", "users"][:metrics], days), apps)
    level = np.exp(rng.uniform(1, 9, (apps, 1, 1))) * np.array([1, 2e4, 0.02, 0.3, 0.1])[None, :metrics, None]
    values = rng.poisson(level * rng.gamma(20, 1 / 20, (apps, metrics, days))).astype(float)
    when = np.tile(pd.date_range(end="2026-11-15", periods=days).to_numpy(), apps * metrics)
    text = {"app_id": pd.Series(names).astype("str"), "metric": pd.Series(kinds).astype("str")}
    return pd.DataFrame({**text, "day": when, "value": values.ravel()})


def speed(apps: int) -> tuple[str, bool]:
    """Series a second of the engine and of the STL loop, as Markdown, and whether the bounds hold."""
    daily = large(apps)
    score_daily(daily.head(91 * 50))  # imports and first-time costs are not what is compared
    start = time.perf_counter()
    score_daily(daily)
    ours = time.perf_counter() - start
    wide = daily["value"].to_numpy().reshape(-1, 91)
    some = wide[:: max(len(wide) // 300, 1)][:300]
    start = time.perf_counter()
    for values in some:
        stl_steps(values)
    theirs = (time.perf_counter() - start) / len(some)
    times = theirs * len(wide) / ours
    lines = ["| way | series | seconds | series a second |", "|---|---:|---:|---:|"]
    lines.append(f"| appgov | {len(wide):,} | {ours:.2f} | {len(wide) / ours:,.0f} |")
    lines.append(
        f"| msticpy's steps (STL), one by one | {len(some):,} | {theirs * len(some):.2f} | {1 / theirs:,.0f} |"
    )
    said = f"{times:,.0f} times as fast as the steps, about {times * ITSELF:,.0f} times as fast as msticpy itself."
    return "\n".join([*lines, "", said]), ours < WANTED_SECONDS and times * ITSELF >= WANTED_TIMES
