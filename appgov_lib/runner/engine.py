"""The papermill engine: kernels of this very Python, one time limit for the whole notebook, quick shutdown."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from typing import Any

import zmq
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from jupyter_core.utils import ensure_event_loop
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NBClientEngine

logger = logging.getLogger(__name__)
logger.addHandler(logging.NullHandler())
logger.propagate = False


class OwnKernelManager(AsyncKernelManager):
    """Starts kernels with this Python, whatever kernels named python3 the user has installed."""

    def __init__(self, **options: Any) -> None:
        """Give the kernel's sockets keys of their own: what a notebook shows is nobody else's on this machine."""
        super().__init__(**options)
        if zmq.has("curve") and self.has_trait("curve_secretkey"):
            self.curve_publickey, self.curve_secretkey = zmq.curve_keypair()

    @property
    def kernel_spec(self) -> KernelSpec:
        """The kernel to start: no debugger, no history file."""
        command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        return KernelSpec(argv=[*command, "--HistoryManager.enabled=False"], language="python", display_name="Python 3")


class KernelEngine(NBClientEngine):  # type: ignore[misc]
    """Executes a notebook like papermill's own engine, with an environment and a limit for the whole notebook."""

    @classmethod
    def execute_managed_notebook(
        cls,
        nb_man: Any,
        kernel_name: str,
        *,
        kernel_environment: dict[str, str],
        notebook_seconds: float,
        start_timeout: int = 60,
        **_: Any,
    ) -> Any:
        """Execute the notebook held by `nb_man`; each cell may take what is left of `notebook_seconds`."""
        end = time.monotonic() + notebook_seconds
        client = PapermillNotebookClient(
            nb_man,
            kernel_name=kernel_name,
            kernel_manager_class=OwnKernelManager,
            timeout_func=lambda _: max(1, round(end - time.monotonic())),
            startup_timeout=start_timeout,
            shutdown_kernel="immediate",
            log=logger,
        )
        try:
            return client.execute(env=kernel_environment)
        finally:
            _end(ensure_event_loop())


def _end(loop: asyncio.AbstractEventLoop) -> None:
    """Close this thread's loop, and first the tasks that still wait for a kernel that is gone."""
    waiting = asyncio.all_tasks(loop)
    for task in waiting:
        task.cancel()
    loop.run_until_complete(asyncio.gather(*waiting, return_exceptions=True))
    loop.close()
