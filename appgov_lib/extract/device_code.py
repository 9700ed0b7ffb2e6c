"""Signing in by device code: azure-identity has it for blocking code alone, and it may wait for minutes."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from datetime import datetime
from functools import partial
from typing import Any

import click

from appgov_lib.terminal import clean


def show_code(address: str, code: str, expires: datetime) -> None:
    """Say on standard error where to enter which code; shown with --quiet too, as nothing goes on without it."""
    click.echo(
        f"To sign in, open {clean(address)} in any browser and enter the code {clean(code)} "
        f"(valid until {expires:%H:%M} UTC).",
        err=True,
    )


class InThread:
    """A blocking credential for asynchronous callers, one request at a time so that nobody is asked twice."""

    def __init__(self, inner: Any) -> None:
        """`inner` has azure-core's blocking `get_token` and `close`."""
        self._inner = inner
        self._turn = asyncio.Lock()

    def __repr__(self) -> str:
        """Name the wrapped kind alone."""
        return f"InThread({type(self._inner).__name__})"

    async def get_token(self, *scopes: str, **options: Any) -> Any:
        """What the wrapped credential returns or raises."""
        async with self._turn:
            return await _in_daemon(partial(self._inner.get_token, *scopes, **options))

    async def close(self) -> None:
        """Close the wrapped credential."""
        self._inner.close()


async def _in_daemon(work: Callable[[], Any]) -> Any:
    """Run `work` in a daemon thread: unlike an executor's, it does not keep an interrupted command alive."""
    outcome: Future[Any] = Future()
    outcome.set_running_or_notify_cancel()  # from here on, giving up waiting no longer cancels it under the thread

    def run() -> None:
        """Hand the result or the error to the waiting side."""
        try:
            outcome.set_result(work())
        except BaseException as error:  # noqa: BLE001 - handed on, and raised where it is awaited
            outcome.set_exception(error)

    threading.Thread(target=run, name="sign-in", daemon=True).start()
    return await asyncio.wrap_future(outcome)
