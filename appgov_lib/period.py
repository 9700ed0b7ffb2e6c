"""The window a report speaks about: whole UTC days up to the as-of day, and the equal window before it."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

from appgov_lib.errors import ConfigError
from appgov_lib.formats import MONTHS, long_day

LONGEST = 366


@dataclass(frozen=True)
class Period:
    """`days` whole days ending with `as_of`, both ends included."""

    as_of: dt.date
    """The last day."""
    days: int = 7
    """Length in days; the previous period has the same."""

    @classmethod
    def ending(cls, as_of: dt.date | str, days: int = 7) -> Period:
        """Make the period of `days` days up to `as_of`; raises `ConfigError` for a date or length that is none."""
        try:
            last = as_of if isinstance(as_of, dt.date) else dt.date.fromisoformat(as_of)
        except ValueError:
            raise ConfigError(f"as_of is {as_of!r}, which is not a date; write it as 2026-11-15.") from None
        if not 1 <= days <= LONGEST:
            raise ConfigError(f"A period of {days} days cannot be reported; choose 1 to {LONGEST}.")
        return cls(last, days)

    @property
    def start(self) -> dt.date:
        """First day."""
        return self.as_of - dt.timedelta(days=self.days - 1)

    @property
    def end(self) -> dt.date:
        """The day after the last, for conditions that leave it out."""
        return self.as_of + dt.timedelta(days=1)

    @property
    def previous(self) -> Period:
        """The period of the same length right before this one."""
        return Period(self.start - dt.timedelta(days=1), self.days)

    @property
    def dates(self) -> list[dt.date]:
        """Every day, oldest first."""
        return [self.start + dt.timedelta(days=n) for n in range(self.days)]

    @property
    def text(self) -> str:
        """The period as a reader says it, without repeating a shared month or year."""
        if self.days == 1:
            return long_day(self.as_of)
        begin = str(self.start.day)
        if (self.start.month, self.start.year) != (self.as_of.month, self.as_of.year):
            begin += f" {MONTHS[self.start.month - 1]}"
        if self.start.year != self.as_of.year:
            begin += f" {self.start.year}"
        return f"{begin} to {long_day(self.as_of)}"


def of_warehouse(con: Any, as_of: dt.date | str, days: int) -> Period:
    """Return the period, after checking that the warehouse behind `con` was built for it.

    Summaries in the warehouse hold one period only; showing them under another date would be wrong. Raises
    `ConfigError` for a text that is no date and when the warehouse was built for another day or length.
    """
    asked = Period.ending(as_of, days)
    built = dict(con.execute("SELECT key, value FROM run_info WHERE key IN ('as_of', 'days')").fetchall())
    day, length = str(built.get("as_of", asked.as_of))[:10], int(built.get("days", days))
    if (day, length) != (str(asked.as_of), days):
        raise ConfigError(
            f"The warehouse holds the {length} days to {day}, not the {days} days to {asked.as_of}; "
            f"run `appgov build --as-of {asked.as_of} --days {days}` first."
        )
    return asked
