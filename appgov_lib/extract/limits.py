"""Throttling budgets: how many requests may start, and how many may be open at once, for each workload of Graph.

The number at once adapts: it is halved when the service throttles and grows slowly while answers come.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType


@dataclass(frozen=True)
class Budget:
    """What one workload allows."""

    requests: int
    """Requests that may start in `seconds`."""
    seconds: float
    at_once: int
    """Requests open at the same time, at most."""


LIMITS: Mapping[str, Budget] = {
    # Directory is metered in resource units by the service itself, so only the number at once is held here; the
    # others are documented request budgets per app and tenant (Graph throttling limits, 2025-07; Defender XDR
    # hunting limits, 2025; Identity Protection counts one request a second over all apps of the tenant).
    "directory": Budget(10_000, 10.0, 8),
    "reporting": Budget(5, 10.0, 4),
    "security": Budget(150, 60.0, 4),
    "hunting": Budget(45, 60.0, 2),
    "identity_protection": Budget(1, 1.0, 1),
    "audit_query": Budget(30, 60.0, 2),
    # far below what the directory allows: whoever watches a run of changes has to be able to stop it
    "changes": Budget(20, 10.0, 1),
}
LOOPBACK_LIMITS: Mapping[str, Budget] = dict.fromkeys(LIMITS, Budget(10_000, 1.0, 8))
"""A server on this machine has no budget to share with others."""


class Limiter:
    """The gate of one workload: `async with limiter:` around each request."""

    def __init__(self, budget: Budget, clock: Callable[[], float]) -> None:
        """`clock` gives monotonic seconds."""
        self._budget, self._clock = budget, clock
        self._starts: deque[float] = deque()
        self._open = 0
        self._change = asyncio.Condition()
        self._paused_until = 0.0
        self.allowed = float(budget.at_once)
        """Requests that may be open now; between 1 and the budget's `at_once`."""

    async def __aenter__(self) -> None:
        """Return when the next request may start."""
        async with self._change:
            while True:
                await self._change.wait_for(lambda: self._open < int(self.allowed))
                delay = self._delay()
                if delay <= 0:
                    break
                # Others may come and go meanwhile; whoever wakes looks again.
                self._change.release()
                try:
                    await asyncio.sleep(delay)
                finally:
                    await self._change.acquire()
            self._open += 1
            self._starts.append(self._clock())

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Make room for the next one."""
        async with self._change:
            self._open -= 1
            self._change.notify_all()

    def throttled(self, seconds: float) -> None:
        """The service asked for a pause: nothing starts for `seconds`, and half as many go on at once afterwards."""
        self._paused_until = max(self._paused_until, self._clock() + seconds)
        self.allowed = max(1.0, self.allowed / 2)

    def answered(self) -> None:
        """An answer came: after about as many answers as are open at once, one more may be."""
        self.allowed = min(float(self._budget.at_once), self.allowed + 1 / self.allowed)

    def _delay(self) -> float:
        """Seconds until the budget and a pause allow the next start."""
        now = self._clock()
        while self._starts and now - self._starts[0] >= self._budget.seconds:
            self._starts.popleft()
        delay = self._paused_until - now
        if len(self._starts) >= self._budget.requests:
            delay = max(delay, self._budget.seconds - (now - self._starts[0]))
        return delay
