"""How numbers, sizes, dates and names are written for readers: one place, so that every page agrees.

Nothing here knows HTML: escaping is the templates' work. What is unknown is written as a word, never as 0.
"""

from __future__ import annotations

import datetime as dt
import math
import unicodedata

UNKNOWN = "unknown"
MINUS = "\N{MINUS SIGN}"
MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
SIZE_UNITS = ("bytes", "kB", "MB", "GB", "TB", "PB", "EB")
_UNSEEN = frozenset({"Cc", "Cf", "Co", "Cs", "Zl", "Zp"})

Number = int | float
DateLike = dt.date | dt.datetime | str


def plain(value: object, limit: int = 120) -> str:
    """Return `value` as one visible line of at most `limit` characters.

    Names come from strangers: control, direction and other invisible characters are shown as their code
    point, so that a name reads as what it holds and cannot reorder the text around it.
    """
    seen = visible(" ".join(str(value).split()))
    return seen if len(seen) <= limit else seen[: limit - 1] + "\N{HORIZONTAL ELLIPSIS}"


def visible(text: str) -> str:
    """Return `text` with invisible characters shown as their code point; line ends and tabs stay."""
    if text.isprintable():
        return text
    return "".join(f"<U+{ord(c):04X}>" if c not in "\n\t" and unicodedata.category(c) in _UNSEEN else c for c in text)


def is_unknown(value: object) -> bool:
    """Whether `value` stands for "not known": None, or the not-a-number a DataFrame holds in its place."""
    return (
        value is None
        or (isinstance(value, float) and math.isnan(value))
        or type(value).__name__ in {"NaTType", "NAType"}
    )


def number(value: Number | None, digits: int = 1) -> str:
    """Write a count or measure with thousands separators; `digits` decimals only where it is not whole."""
    if is_unknown(value) or value is None:
        return UNKNOWN
    text = f"{value:,.0f}" if float(value).is_integer() else f"{value:,.{digits}f}"
    return text.replace("-", MINUS)


def fewer(least: Number) -> str:
    """Say what is shown in place of a number of users that is too small to be shown."""
    return f"fewer than {number(least)}"


def users(value: Number | None) -> str:
    """Write a number of users; one that may not be shown comes as the least number that may, with a minus before it."""
    return fewer(-value) if value is not None and not is_unknown(value) and value < 0 else number(value)


def size(value: Number | None) -> str:
    """Write a number of bytes in decimal units (1 kB = 1,000 bytes) with three significant digits."""
    if is_unknown(value) or value is None:
        return UNKNOWN
    amount, step = abs(float(value)), 0
    while amount >= 999.5 and step < len(SIZE_UNITS) - 1:
        amount, step = amount / 1000, step + 1
    digits = 0 if step == 0 or amount >= 99.95 else 1 if amount >= 9.995 else 2
    sign = MINUS if value < 0 else ""
    unit = "byte" if step == 0 and round(amount) == 1 else SIZE_UNITS[step]
    return f"{sign}{amount:,.{digits}f} {unit}"


def exact_size(value: Number | None) -> str:
    """Write a number of bytes to the byte, for the title of a rounded one."""
    return UNKNOWN if is_unknown(value) or value is None else f"{value:,.0f} bytes".replace("-", MINUS)


def measure(value: Number | None, unit: str) -> str:
    """Write `value` in its unit: `bytes` as a size, `%` as given, anything else as number and word."""
    if unit == "bytes":
        return size(value)
    if is_unknown(value) or value is None:
        return UNKNOWN
    if value == 1 and unit.endswith("s"):
        unit = unit.removesuffix("s")
    return f"{number(value)}%" if unit == "%" else f"{number(value)} {unit}".rstrip()


def as_date(value: DateLike | None) -> dt.date | None:
    """Return the day of a date, time or ISO text; None where there is none."""
    if is_unknown(value) or value is None:
        return None
    if isinstance(value, dt.datetime):
        return value.date()
    return value if isinstance(value, dt.date) else dt.date.fromisoformat(str(value)[:10])


def day(value: DateLike | None) -> str:
    """Write a date as ISO text."""
    found = as_date(value)
    return UNKNOWN if found is None else found.isoformat()


def long_day(value: DateLike | None) -> str:
    """Write a date as a reader says it, for example `15 November 2026` (English in any locale)."""
    found = as_date(value)
    return UNKNOWN if found is None else f"{found.day} {MONTHS[found.month - 1]} {found.year}"


def moment(value: dt.datetime | str | None) -> str:
    """Write a time in UTC to the minute, with its date."""
    if is_unknown(value) or value is None:
        return UNKNOWN
    text = value.isoformat(sep=" ") if isinstance(value, dt.datetime) else str(value).replace("T", " ")
    return f"{text[:16]} UTC" if len(text) > 10 else text


def count(amount: Number | None, one: str, many: str | None = None) -> str:
    """Write `amount` with the right form of its noun: `1 app`, `2 apps`, `unknown apps`."""
    return f"{users(amount)} {one if amount == 1 else many or one + 's'}"


def change(now: Number | None, before: Number | None, unit: str = "") -> str:
    """Say in words how `now` differs from `before`: a signed number and, where it has one, a percentage."""
    if is_unknown(now) or is_unknown(before) or now is None or before is None:
        return "no earlier period to compare"
    difference = now - before
    if difference == 0:
        return "no change"
    amount = size(abs(difference)) if unit == "bytes" else number(abs(difference))
    text = f"{amount} {'more' if difference > 0 else 'less' if unit == 'bytes' else 'fewer'}"
    if not before:
        return f"{text}, none before"
    share = abs(difference) / before
    return f"{text} ({f'{share:.0%}' if share >= 0.01 else 'under 1%'})"


def arrow(now: Number | None, before: Number | None) -> str:
    """Return the sign shown before a change: up, down, level, or nothing where there is no comparison."""
    if is_unknown(now) or is_unknown(before) or now is None or before is None:
        return ""
    return (
        "\N{BLACK UP-POINTING TRIANGLE}"
        if now > before
        else "\N{BLACK DOWN-POINTING TRIANGLE}"
        if now < before
        else "="
    )


def joined(values: object, empty: str = "none") -> str:
    """Write a list as text: visible items separated by commas, or the word for an empty one."""
    if is_unknown(values) or values is None:
        return UNKNOWN
    items = [plain(v) for v in values] if isinstance(values, list | tuple | set) else [plain(values)]
    return ", ".join(items) if items else empty
