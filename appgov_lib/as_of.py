"""Which day a command speaks about when it is not told: the data decides, not the clock."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, timedelta

from appgov_lib.errors import ConfigError
from appgov_lib.extract.snapshot import Snapshot


def parse_date(text: str, option: str) -> date:
    """Read an ISO date; raise `ConfigError` naming `option` for anything else."""
    try:
        return date.fromisoformat(text.strip())
    except ValueError:
        raise ConfigError(f"{option} is {text!r}, which is not a date; write it as 2026-11-15.") from None


def default_as_of(snapshots: Iterable[Snapshot]) -> date:
    """The last whole day the data speaks about.

    That is the day before the newest extraction began; where there were only imports, the last day with a record.
    Raises `ConfigError` when there is nothing to report on.
    """
    extracts: list[date] = []
    imports: list[date] = []
    for snapshot in snapshots:
        if snapshot.kind == "extract":
            extracts.append(datetime.fromisoformat(snapshot.started_at).date() - timedelta(days=1))
        else:
            spans = (state.to_at for state in snapshot.sources.values())
            imports += [datetime.fromisoformat(to_at).date() for to_at in spans if to_at]
    if not extracts and not imports:
        raise ConfigError(
            "There is no data for this tenant yet; run `appgov extract`, `appgov import PATH` or `appgov demo` first."
        )
    return max(extracts or imports)


def last_week(today: date) -> date:
    """The Sunday that ends the last complete week (Monday to Sunday) before `today`."""
    return today - timedelta(days=today.isoweekday())
