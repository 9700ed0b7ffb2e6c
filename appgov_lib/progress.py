"""Progress on standard error: one bar per source or step, nothing at all when quiet."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any


class Bars:
    """One tqdm bar per name. Use as a context manager; every method is silent when `quiet`."""

    def __init__(self, quiet: bool = False) -> None:
        """Nothing is drawn until the first report."""
        self._quiet = quiet
        self._bars: dict[str, Any] = {}

    def __enter__(self) -> Bars:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave every bar as it stands."""
        for bar in self._bars.values():
            bar.close()

    def rows(self, name: str, rows: int, total: int | None, status: str | None) -> None:
        """Show that `name` has `rows` records of `total` (unknown: None); `status` once it has ended."""
        if self._quiet:
            return
        bar = self._bars.get(name)
        if bar is None:
            from tqdm import tqdm

            bar = self._bars[name] = tqdm(
                desc=f"{name:<36}", total=total, unit=" rows", file=sys.stderr, leave=True, mininterval=0.5
            )
        if total is not None and bar.total != total:
            bar.total = max(total, rows)
        bar.n = rows
        if status is not None:
            bar.total = rows
            bar.set_postfix_str(status, refresh=False)
            bar.refresh()
            bar.close()
        else:
            bar.update(0)

    def step(self, text: str) -> None:
        """Say in one line what starts now."""
        if not self._quiet:
            print(text, file=sys.stderr, flush=True)
