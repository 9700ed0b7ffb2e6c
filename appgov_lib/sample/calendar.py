"""The days of the sample tenant: thirteen whole weeks that end on Sunday 2026-11-15, and its holidays."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

NOW = datetime(2026, 11, 16, tzinfo=UTC)
AS_OF = date(2026, 11, 15)
FIRST_DAY = date(2026, 8, 17)
DAYS = 91
LAST_WEEK = range(DAYS - 7, DAYS)

HOLIDAYS = (date(2026, 10, 12), date(2026, 10, 13))
"""Two days on which the whole tenant is nearly at rest."""

SECOND_OF_DAY = [f"{s // 3600:02d}:{s // 60 % 60:02d}:{s % 60:02d}" for s in range(86_400)]
DATES = [(FIRST_DAY + timedelta(days=d)).isoformat() for d in range(DAYS)]


def day_index(day: date) -> int:
    """Days since the first day: 0 is 2026-08-17, 90 is 2026-11-15; may lie outside when `day` does."""
    return (day - FIRST_DAY).days


def weekday(day: int) -> int:
    """0 is Monday; `day` counts from the first day, which is one."""
    return day % 7


@lru_cache(maxsize=8_192)
def days_before_now(days: float) -> str:
    """UTC text `...Z` of the moment `days` before NOW; negative `days` lie in the future."""
    moment = NOW - timedelta(days=days)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def stamp(day: int, second: int) -> str:
    """UTC text `...Z` of second `second` of day `day`."""
    return f"{DATES[day]}T{SECOND_OF_DAY[second]}Z"
