"""Times as log exports write them, and whether they can be true.

The same forms are read again in SQL; a time is accepted here only if the models read the same moment from it.
"""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from functools import lru_cache

EARLIEST = datetime(2000, 1, 1)
"""Nothing these logs report can be older; 1900 and 0001 stand for "no time" in some exports."""

_PLAIN_UTC = re.compile(
    r"(2\d{3}-\d\d-\d\d)[T ](?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,9})?(?:Z|[+-]00:?00)?", re.ASCII
)
_ISO = re.compile(
    r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d(?::\d\d)?)(?:\.(\d{1,9}))? ?(?:Z|([+-])(\d{1,2}):?(\d\d))?", re.ASCII
)
_US = re.compile(r"\d{1,2}/\d{1,2}/\d{4}, \d{1,2}:\d\d:\d\d(?:\.\d{1,3})? [AP]M", re.ASCII)
_NAMED_MONTH = re.compile(r"[A-Z][a-z]{2} \d{1,2}, \d{4} \d{1,2}:\d\d:\d\d(?:\.\d{1,3})? [AP]M", re.ASCII)


def stamp(value: object) -> str | None:
    """Read a time as `YYYY-MM-DDTHH:MM:SS` in UTC, which sorts as text; None for what `parse` does not accept."""
    if not isinstance(value, str):
        return None
    found = _PLAIN_UTC.fullmatch(value)
    if found is not None:
        return f"{value[:10]}T{value[11:19]}" if _is_day(found[1]) else None
    moment = parse(value)
    return moment.isoformat(timespec="seconds") if moment is not None else None


@lru_cache(maxsize=4096)
def _is_day(text: str) -> bool:
    """Whether `YYYY-MM-DD` is in the calendar."""
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def parse(value: object) -> datetime | None:
    """Read a time as naive UTC; None where the text is no time or no possible time.

    Accepted: ISO 8601 with `T` or a blank, up to nine decimals, and an offset if there is one (no offset means UTC);
    the twelve-hour form of the Azure portal (`4/28/2021, 2:19:28.000 PM`), and the form of the Defender portal
    (`Apr 28, 2021 2:19:28 PM`).
    """
    if not isinstance(value, str):
        return None
    found = _ISO.fullmatch(value)
    try:
        if found is None:
            moment = _portal_time(value.replace("\u202f", " "))
        else:
            day, clock, fraction, sign, hours, minutes = found.groups()
            moment = datetime.fromisoformat(f"{day}T{clock}")
            if fraction:
                moment = moment.replace(microsecond=int(fraction[:6].ljust(6, "0")))
            if sign and (hours, minutes) != ("00", "00"):
                offset = timedelta(hours=int(hours), minutes=int(minutes))
                moment = moment - offset if sign == "+" else moment + offset
    except (ValueError, OverflowError):
        return None
    return moment if moment >= EARLIEST else None


def _portal_time(text: str) -> datetime:
    """Read one of the twelve-hour forms; raise `ValueError` for anything else."""
    fraction = ".%f" if "." in text else ""
    if _US.fullmatch(text):
        return datetime.strptime(text, f"%m/%d/%Y, %I:%M:%S{fraction} %p")  # noqa: DTZ007 - naive UTC
    if _NAMED_MONTH.fullmatch(text):
        return datetime.strptime(text, f"%b %d, %Y %I:%M:%S{fraction} %p")  # noqa: DTZ007 - naive UTC
    raise ValueError("not a known form of time")
