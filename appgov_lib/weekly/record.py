"""What weekly runs remember of one tenant: which weeks are done and how far, what was delivered, how the last ended.

The file only saves work and tells about it: without it, a run does everything again.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from appgov_lib.as_of import last_week
from appgov_lib.settings import Settings, private_write
from appgov_lib.weekly.endings import endings

WEEK = timedelta(days=7)
WEEKS_KEPT = 60
CATCH_UP = 4
"""Missed weeks that are made up for: what came before is gone from Microsoft's logs after 30 days."""


@dataclass
class Record:
    """The memory of one tenant's weekly runs."""

    path: Path
    weeks: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By as-of date: what was read, built and reported for it."""
    delivered: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By delivery: what it last told."""
    last_run: dict[str, Any] = field(default_factory=dict)
    last_good: dict[str, Any] = field(default_factory=dict)
    """The newest week with a report: as_of, finished_at, run_id."""

    def week(self, as_of: date) -> dict[str, Any]:
        """What is known of one week; may be changed."""
        return self.weeks.setdefault(as_of.isoformat(), {})

    def missed(self, as_of: date) -> tuple[list[date], list[date]]:
        """Weeks before `as_of`, since the first that was reported, without a report: those to make up for, the rest."""
        done = sorted(day for day, week in self.weeks.items() if "report" in week)
        if not done:
            return [], []
        found = []
        day = date.fromisoformat(done[0]) + WEEK
        while day < as_of:
            if day.isoformat() not in done:
                found.append(day)
            day += WEEK
        oldest = as_of - CATCH_UP * WEEK
        return [day for day in found if day >= oldest], [day for day in found if day < oldest]

    def forget_after(self, now: datetime) -> None:
        """Forget runs that ended after `now`, and the weeks they made: this machine's clock was wrong then."""
        if str(self.last_good.get("finished_at", "")) > now.isoformat():
            today = now.date().isoformat()
            self.weeks = {day: week for day, week in self.weeks.items() if day < today}
            done = sorted(day for day, week in self.weeks.items() if "report" in week)
            # when the one before ended is not known; after its week at any rate
            self.last_good = {"as_of": done[-1], "finished_at": f"{done[-1]}T23:59:59", "run_id": ""} if done else {}

    def save(self) -> None:
        """Write the file in one step."""
        kept = dict(sorted(self.weeks.items())[-WEEKS_KEPT:])
        content = {
            "weeks": kept,
            "delivered": self.delivered,
            "last_run": self.last_run,
            "last_good": self.last_good,
        }
        private_write(self.path, json.dumps(content, indent=1, sort_keys=True).encode())


def read_record(settings: Settings) -> Record:
    """The record of a tenant, an empty one where there is none or it cannot be read."""
    path = settings.data_dir / "weekly.json"
    try:
        raw = json.loads(path.read_bytes())
        parts = {name: dict(raw[name]) for name in ("weeks", "delivered", "last_run", "last_good")}
    except (OSError, ValueError, KeyError, TypeError):
        return Record(path)
    return Record(path, **parts)


@dataclass(frozen=True)
class Health:
    """Whether weekly runs come as they should; part of `appgov doctor`."""

    last_good_week: str = ""
    """As-of date of the newest week with a report."""
    last_good_at: str = ""
    last_run_at: str = ""
    last_run_exit_code: int | None = None
    """None when there was no run, or the last one has not ended or was killed."""
    last_run_said: str = ""
    warnings: tuple[str, ...] = ()


def health(settings: Settings, now: datetime) -> Health:
    """How the weekly runs of a tenant stand at `now` (UTC)."""
    record = read_record(settings)
    good, last = record.last_good, record.last_run
    warnings = []
    wanted = last_week((now - timedelta(days=settings.profile.late_after_days)).date())
    if good and date.fromisoformat(good["as_of"]) < wanted:
        weeks = (wanted - date.fromisoformat(good["as_of"])).days // 7
        warnings.append(
            f"The weekly run is late by {weeks} week{'s' if weeks > 1 else ''}: the last good one was for the week to "
            f"{good['as_of']}, and the week to {wanted} has no report; see whether the scheduler runs."
        )
    if last and last.get("exit_code") is None:
        warnings.append(
            f"The weekly run begun at {last.get('began_at')} has not ended: it is running, or was killed in the stage "
            f"{last.get('stage') or 'extract'}. The next run goes on where it stopped."
        )
    if good and datetime.fromisoformat(good["finished_at"]) > now + timedelta(hours=1):
        warnings.append(f"The last good run ended at {good['finished_at']}, after now; is this machine's clock right?")
    warnings += endings(settings, now)
    return Health(
        good.get("as_of", ""),
        good.get("finished_at", ""),
        last.get("began_at", ""),
        last.get("exit_code"),
        last.get("sentence", ""),
        tuple(warnings),
    )
