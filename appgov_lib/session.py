"""What a verb works with while it runs: the current warehouse, the day it was built for, and progress on the terminal.

Heavy imports are inside the functions, so that `appgov --help` answers at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from typing import TYPE_CHECKING, Any

from appgov_lib.settings import Settings

if TYPE_CHECKING:
    from appgov_lib.progress import Bars


def warehouse_as_of(settings: Settings, text: str | None) -> date:
    """The day given, else the one the current warehouse was built for."""
    from appgov_lib.as_of import parse_date

    if text:
        return parse_date(text, "--as-of")
    with warehouse(settings) as con:
        found = con.execute("SELECT value FROM run_info WHERE key = 'as_of'").fetchone()
    return parse_date(str(found[0])[:10] if found else "", "run_info.as_of")


@contextmanager
def warehouse(settings: Settings) -> Iterator[Any]:
    """The current warehouse, read-only, closed again afterwards."""
    from appgov_lib.store.warehouse import connect

    con = connect(tenant=settings.tenant, home=settings.home)
    try:
        yield con
    finally:
        con.close()


@contextmanager
def bars(quiet: bool) -> Iterator[Bars]:
    """Progress on standard error."""
    from appgov_lib.progress import Bars

    with Bars(quiet) as made:
        yield made
