"""Tenants made of daily series whose anomalies are known: eight shapes of innocent use, five kinds of attack.

Every size is drawn from a wide range: what is measured on them should not depend on one of them. Holidays, outages,
days nobody recorded and gaps of single apps are in all of them; none of these is an anomaly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SHAPES = (
    "office hours", "flat", "sparse", "weekly job", "monthly job", "growing", "level shifted", "heavy tailed",
)  # fmt: skip
ATTACKS = ("burst", "steady", "ramp", "stop", "weekend")
LAST = pd.Timestamp("2026-11-15")
"""A Sunday; tenants end on it or up to six days earlier."""
WEEK = 7


@dataclass(frozen=True)
class Tenant:
    """One tenant's daily numbers and what is known about them."""

    daily: pd.DataFrame
    """app_id, metric, day, value; rows in no order"""
    apps: pd.DataFrame
    """app_id, shape, attack ("" for none), size (times the usual level, 0 for a stop)"""
    truth: frozenset[tuple[str, pd.Timestamp]]
    """app and day that were changed"""


def tenant(seed: int, apps: int = 400, share: float = 0.05, shapes: tuple[str, ...] = SHAPES) -> Tenant:
    """Make a tenant of `apps` apps, the `share` of them attacked in the last seven days.

    The same arguments give the same tenant. Where an attack would be no event (a stop of a job that is idle anyway, a
    busy weekend of an app that is always busy on weekends) the app gets a burst instead.
    """
    rng = np.random.default_rng([seed, apps])
    days = pd.date_range(end=LAST - pd.Timedelta(days=int(rng.integers(0, 7))), periods=WEEK * 13 + WEEK)
    common = _Common.draw(rng, days)
    attacked = np.zeros(apps, dtype=bool)
    attacked[rng.choice(apps, round(apps * share), replace=False)] = True
    frames, facts, truth = [], [], set()
    for number in range(apps):
        app = f"app-{seed:03}-{number:05}"
        shape = shapes[number % len(shapes)]
        one = _App(rng, shape, days, common)
        attack, size, hit = one.attack(str(rng.choice(ATTACKS))) if attacked[number] else ("", 0.0, [])
        made = one.frame(app)
        frames.append(made)
        seen = set(made["day"]) - common.unrecorded
        visible = {(app, days[day]) for day in hit if days[day] in seen}
        truth |= visible
        facts.append((app, shape, attack if visible else "", size))  # what no recorded day shows cannot be found
    order = rng.permutation(sum(len(frame) for frame in frames))
    daily = pd.concat(frames, ignore_index=True).iloc[order].reset_index(drop=True)
    daily = daily[~daily["day"].isin(common.unrecorded)].reset_index(drop=True)
    columns = ["app_id", "shape", "attack", "size"]
    return Tenant(daily, pd.DataFrame(facts, columns=columns), frozenset(truth))


@dataclass(frozen=True)
class _Common:
    """What all apps of a tenant share."""

    holidays: dict[int, float]
    """day -> share of the office apps that keep it"""
    outages: dict[int, float]
    """day -> factor on everything"""
    unrecorded: frozenset[pd.Timestamp]
    history: int
    """days before the judged week that the tenant has"""

    @staticmethod
    def draw(rng: np.random.Generator, days: pd.DatetimeIndex) -> _Common:
        """Up to four holidays and an outage, two in five times in the judged week; 6 to 13 weeks of history."""
        size = len(days)
        workdays = np.flatnonzero(days.day_of_week < 5)
        past, judged = workdays[workdays < size - WEEK], workdays[workdays >= size - WEEK]
        chosen = list(rng.choice(past, rng.integers(0, 4), replace=False))
        if rng.random() < 0.4:
            chosen.append(rng.choice(judged))
        holidays = {int(day): float(rng.choice([1.0, rng.uniform(0.4, 1.0)])) for day in chosen}
        out = rng.choice(size - WEEK, rng.integers(0, 2), replace=False).tolist()
        if rng.random() < 0.15:
            out.append(int(rng.integers(size - WEEK, size)))
        outages = {int(day): float(rng.choice([0.0, rng.uniform(0.02, 0.3)])) for day in out}
        lost = rng.choice(size - WEEK, rng.integers(0, 3), replace=False)
        return _Common(holidays, outages, frozenset(days[lost]), int(rng.integers(6, 14)) * WEEK)


class _App:
    """One app: the rate of its calls, day by day, and what is drawn from it."""

    def __init__(self, rng: np.random.Generator, shape: str, days: pd.DatetimeIndex, common: _Common) -> None:
        """Draw the level, rhythm and noise of an app of this shape."""
        self.rng, self.shape, self.days, self.common = rng, shape, days, common
        weekend = days.day_of_week >= 5
        self.level = float(np.exp(rng.uniform(np.log(5), np.log(50_000))))
        office = shape == "office hours" or (
            shape in ("growing", "level shifted", "heavy tailed") and rng.random() < 0.5
        )
        quiet = float(rng.choice([0.0, rng.uniform(0.0, 0.35)])) if office else float(rng.uniform(0.7, 1.1))
        self.quiet_weekend = office or shape == "weekly job"
        rate = np.where(weekend, quiet, rng.uniform(0.85, 1.15, 7)[days.day_of_week]) * self.level
        if shape == "sparse":
            self.level = float(np.exp(rng.uniform(np.log(0.05), np.log(3))))
            rate = np.full(len(days), self.level)
        elif shape == "weekly job":
            self.weekday = int(rng.integers(0, 5))
            idle = 0.0 if rng.random() < 0.6 else self.level * rng.uniform(0.0, 0.05)
            rate = np.where(days.day_of_week == self.weekday, self.level, idle)
        elif shape == "monthly job":
            self.level = max(self.level, 50.0)
            self.idle = 0.0 if rng.random() < 0.5 else self.level * rng.uniform(0.0, 0.1)
            when = int(rng.integers(1, 29)) if rng.random() < 0.6 else days[-int(rng.integers(1, 8))].day
            rate = np.where(days.day == min(when, 28), self.level, self.idle)
        age = np.arange(len(days))[::-1]
        if shape == "growing":
            factor = float(rng.uniform(1.5, 6.0)) ** rng.choice([1, 1, 1, -1])
            past = 1 - age / (13 * WEEK)
            rate = rate * (factor**past if rng.random() < 0.5 or factor < 1 else 1 + (factor - 1) * past)
        elif shape == "level shifted":
            since = int(rng.integers(4 * WEEK, 11 * WEEK))
            rate = rate * np.where(age < since, float(np.exp(rng.choice([-1, 1]) * rng.uniform(0.4, 2.0))), 1.0)
        self.rate, self.office, self.extra = rate, office, np.zeros(len(days))
        self.stopped = np.zeros(len(days), dtype=bool)
        for day, part in common.holidays.items():
            if office and rng.random() < part:
                self.rate[day] *= quiet if rng.random() < 0.7 else rng.uniform(0, 0.5)
        for day, factor in common.outages.items():
            self.rate[day] *= factor

    def attack(self, kind: str) -> tuple[str, float, list[int]]:
        """Change the last days; the kind made, its size, and the days it is visible on."""
        rng, size = self.rng, float(np.exp(self.rng.uniform(np.log(2), np.log(10))))
        judged = list(range(len(self.days) - WEEK, len(self.days)))
        if (kind == "stop" and self.shape in ("sparse", "monthly job")) or (
            kind == "weekend" and not self.quiet_weekend
        ):
            kind = "burst"
        busy = max(float(np.median(self.rate[self.rate > 0.5 * self.rate.max()])), 5.0)
        typical = max(float(self.rate[-5 * WEEK : -WEEK].mean()), 5.0)
        if kind == "burst":
            size = float(np.exp(rng.uniform(np.log(4), np.log(12))))
            hit = [int(rng.choice(judged))]
            self.extra[hit] += (size - 1) * busy
        elif kind == "steady":
            hit = [day for day in judged if not self.office or self.days[day].day_of_week < 5 or rng.random() < 0.5]
            self.extra[hit] += (size - 1) * typical
        elif kind == "ramp":
            length = int(rng.integers(7, 22))
            size = max(size, 3.0)
            steps = np.arange(1, length + 1) / length
            self.extra[-length:] += (size - 1) * typical * steps
            hit = judged
        elif kind == "stop":
            size, length = 0.0, int(rng.integers(2, 8))
            start = int(rng.integers(0, WEEK - length + 1))
            if self.shape == "weekly job":  # the job's own day is among them
                start = next(i for i, day in enumerate(judged) if self.days[day].day_of_week == self.weekday)
                start, length = max(start - 1, 0), min(length, WEEK - max(start - 1, 0))
            elif self.office:
                length = max(length, 3)
                start = min(start, WEEK - length)
            self.stopped[judged[start : start + length]] = True
            hit = [day for day in judged[start : start + length] if self.rate[day] > 0]
        else:
            size = float(rng.uniform(0.4, 1.5))
            hit = [day for day in judged if self.days[day].day_of_week >= 5]
            self.extra[hit] += size * max(busy, 15.0)
        return kind, size, hit

    def frame(self, app: str) -> pd.DataFrame:
        """The rows of the app: calls and bytes, and for some apps sign-ins and failures."""
        rng, size = self.rng, len(self.days)
        spread = float(np.exp(rng.uniform(np.log(6), np.log(200))))
        noise = rng.gamma(spread, 1 / spread, size)
        if self.shape == "heavy tailed":
            noise = np.exp(rng.normal(0, rng.uniform(0.3, 0.8), size))
            if rng.random() < 0.5:  # it bursts by itself now and then
                noise *= np.where(rng.random(size) < 0.015, rng.uniform(2, 10, size), 1.0)
        calls = np.where(self.stopped, 0, rng.poisson(self.rate * noise + self.extra)).astype(float)
        each = float(np.exp(rng.uniform(np.log(2e3), np.log(2e5))))
        table = {
            "api_calls": calls,
            "bytes_returned": np.round(calls * each * np.exp(rng.normal(0, rng.uniform(0.05, 0.4), size))),
        }
        if rng.random() < 0.5:
            table["sign_ins"] = np.ceil(rng.poisson(calls * 0.3) ** rng.uniform(0.6, 1.0))
            table["failures"] = rng.poisson(rng.uniform(0.0, 1.0) + 0.01 * table["sign_ins"]).astype(float)
        keep = rng.random(size) > rng.uniform(0.0, 0.05)
        keep[: size - WEEK - self.common.history] = False
        if rng.random() < 0.2:  # the app's own gap
            start = int(rng.integers(0, size - WEEK))
            keep[start : start + int(rng.integers(3, 11))] = False
        made = [
            pd.DataFrame({"app_id": app, "metric": name, "day": self.days[keep], "value": values[keep]})
            for name, values in table.items()
        ]
        return pd.concat(made, ignore_index=True)
